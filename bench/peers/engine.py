"""Python PyTorch's side of bench/engine.ts: the same operators and the same ResNet-50, written with torch.nn."""
import sys

import torch
from torch import nn

from peer import serve


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.downsample = None
        if stride != 1 or inputs != width * 4:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width * 4, 1, stride, bias=False), nn.BatchNorm2d(width * 4))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, stages = 64, []
        for stage, blocks in enumerate((3, 4, 6, 3)):
            width = 64 * 2**stage
            for block in range(blocks):
                stages.append(Bottleneck(inputs, width, 2 if stage > 0 and block == 0 else 1))
                inputs = width * 4
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.stages(self.maxpool(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


def main():
    torch.set_num_threads(int(sys.argv[1]))
    size, batch = int(sys.argv[2]), int(sys.argv[3])
    small = torch.ones(2, 2)
    net = ResNet50()
    frozen = ResNet50().eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(batch, 3, size, size)
    labels = torch.randint(0, 1000, (batch,))

    def forward():
        with torch.inference_mode():
            frozen(images)

    def step():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    serve({"add": lambda: torch.add(small, small), "forward": forward, "step": step})


main()
