"""torchvision's side of bench/operators.ts. Benchmarks are named "forward:HxW" and "both:HxW"."""
import sys

import torch
from torchvision.ops import deform_conv2d

from peer import serve


class OnDemand(dict):
    """Makes a benchmark when it is first asked for."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def __missing__(self, name):
        step, size = name.split(":")
        height, width = map(int, size.split("x"))
        c = self.channels
        x, weight, offset, bias = (
            (torch.randn(shape) * 0.5).requires_grad_()
            for shape in ((1, c, height, width), (c, c, 3, 3), (1, 18, height, width), (c,))
        )
        cotangent = torch.randn(1, c, height, width)

        def forward():
            with torch.inference_mode():
                deform_conv2d(x, offset, weight, bias, padding=1)

        def both():
            deform_conv2d(x, offset, weight, bias, padding=1).backward(cotangent)

        self[name] = forward if step == "forward" else both
        return self[name]


torch.set_num_threads(int(sys.argv[1]))
serve(OnDemand(int(sys.argv[2])))
