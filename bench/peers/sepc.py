"""The paper's composition of SEPC: one call for each convolution, and torchvision's kernel."""
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d


class Kernel(nn.Module):
    def __init__(self, channels, stride=1, deformable=False):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, 1)
        nn.init.normal_(self.conv.weight, 0, 0.01)
        self.offset = nn.Conv2d(channels, 18, 3, stride, 1) if deformable else None
        if deformable:
            nn.init.normal_(self.offset.weight, 0, 0.01)

    def forward(self, x, deform):
        if self.offset is None or not deform:
            return self.conv(x)
        return deform_conv2d(x, self.offset(x), self.conv.weight, self.conv.bias, stride=self.conv.stride, padding=1)


class IntegratedNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, levels):
        sizes = [level.shape for level in levels]
        flat = self.bn(torch.cat([level.reshape(*level.shape[:2], 1, -1) for level in levels], 3))
        parts = torch.split(flat, [shape[2] * shape[3] for shape in sizes], 3)
        return [torch.relu(part.reshape(shape)) for part, shape in zip(parts, sizes)]


class Pyramid(nn.Module):
    def __init__(self, channels, deformable):
        super().__init__()
        self.kernels = nn.ModuleList(Kernel(channels, stride, deformable) for stride in (1, 1, 2))
        self.norm = IntegratedNorm(channels)

    def forward(self, levels):
        out = []
        for i, level in enumerate(levels):
            total = self.kernels[1](level, i > 0)
            if i > 0:
                total = total + self.kernels[2](levels[i - 1], True)
            if i + 1 < len(levels):
                above = self.kernels[0](levels[i + 1], i > 0)
                total = total + F.interpolate(above, size=level.shape[2:], mode="bilinear", align_corners=True)
            out.append(total)
        return self.norm(out)


class Extra(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.kernel, self.norm = Kernel(channels, 1, True), IntegratedNorm(channels)

    def forward(self, levels):
        return self.norm([self.kernel(level, i > 0) for i, level in enumerate(levels)])


class Sepc(nn.Module):
    def __init__(self, channels, deformable):
        super().__init__()
        self.stack = nn.ModuleList(Pyramid(channels, deformable) for _ in range(4))
        self.cls, self.box = Extra(channels), Extra(channels)

    def forward(self, levels):
        for pyramid in self.stack:
            levels = pyramid(levels)
        return self.cls(levels) + self.box(levels)
