"""Python PyTorch's side of bench/engine.ts: the same operators and the same ResNet-50, written with torch.nn."""
import sys

import torch
from torch import nn

from peer import serve
from resnet import ResNet50


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
