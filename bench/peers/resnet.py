"""ResNet-50 written with torch.nn, as torchvision's is."""
import torch
from torch import nn


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
            width, parts = 64 * 2**stage, []
            for block in range(blocks):
                parts.append(Bottleneck(inputs, width, 2 if stage > 0 and block == 0 else 1))
                inputs = width * 4
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.fc = nn.Linear(inputs, 1000)

    def maps(self, x):
        """c2 to c5."""
        x, found = self.maxpool(torch.relu(self.bn1(self.conv1(x)))), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x):
        return self.fc(self.maps(x)[-1].mean((2, 3)))
