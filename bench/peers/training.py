"""RetinaNet with ResNet-50 for bench/training.ts and bench/runtime.ts, written with torch.nn, its head plain or the paper's SEPC."""
import sys

import torch
from torch import nn
from torch.nn import functional as F

from peer import serve
from resnet import ResNet50
from sepc import Sepc

CHANNELS, CLASSES, ANCHORS = 256, 80, 9


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        def stack():
            return nn.Sequential(*(m for _ in range(4) for m in (nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1), nn.ReLU(True))))
        self.cls, self.box = stack(), stack()

    def forward(self, levels):
        return [self.cls(level) for level in levels] + [self.box(level) for level in levels]


class RetinaNet(nn.Module):
    def __init__(self, tower):
        super().__init__()
        self.backbone = ResNet50()
        del self.backbone.fc
        self.lateral = nn.ModuleList(nn.Conv2d(c, CHANNELS, 1) for c in (512, 1024, 2048))
        self.smooth = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1) for _ in range(3))
        self.extra = nn.ModuleList((nn.Conv2d(2048, CHANNELS, 3, 2, 1), nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1)))
        self.tower = tower
        self.cls = nn.Conv2d(CHANNELS, ANCHORS * CLASSES, 3, 1, 1)
        self.box = nn.Conv2d(CHANNELS, ANCHORS * 4, 3, 1, 1)
        nn.init.constant_(self.cls.bias, -4.595)
        for part in (self.backbone.conv1, self.backbone.bn1, self.backbone.stages[0]):
            part.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        for part in self.backbone.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self

    def forward(self, images):
        maps = self.backbone.maps(images)[1:]
        merged = [conv(x) for conv, x in zip(self.lateral, maps)]
        for i in (1, 0):
            merged[i] = merged[i] + F.interpolate(merged[i + 1], size=merged[i].shape[2:])
        pyramid = [conv(x) for conv, x in zip(self.smooth, merged)]
        pyramid.append(self.extra[0](maps[-1]))
        pyramid.append(self.extra[1](pyramid[-1]))
        features = self.tower(pyramid)
        cls = [self.cls(x) for x in features[: len(pyramid)]]
        box = [self.box(x) for x in features[len(pyramid) :]]
        return cls, box


def anchors_of(sizes):
    found = []
    for level, (height, width) in enumerate(sizes):
        stride = 8 * 2**level
        scales = torch.tensor([4 * 2 ** (i / 3) for i in range(3)]) * stride
        ratios = torch.tensor([0.5, 1.0, 2.0]).sqrt()
        w, h = (scales[None] / ratios[:, None]).flatten(), (scales[None] * ratios[:, None]).flatten()
        base = torch.stack([-w, -h, w, h], 1) / 2
        y, x = torch.meshgrid(torch.arange(height) * stride, torch.arange(width) * stride, indexing="ij")
        shifts = torch.stack([x, y, x, y], 2).reshape(-1, 1, 4)
        found.append((shifts + base).reshape(-1, 4))
    return torch.cat(found)


def overlaps(a, b):
    low, high = torch.max(a[:, None, :2], b[None, :, :2]), torch.min(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = lambda boxes: (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / (area(a)[:, None] + area(b)[None] - shared)


def targets_of(anchors, boxes, labels):
    iou = overlaps(anchors, boxes)
    best, which = iou.max(1)
    assigned = torch.full((len(anchors),), -1)
    assigned[best < 0.4] = 0
    assigned[best >= 0.5] = which[best >= 0.5] + 1
    for i, most in enumerate(iou.max(0).values):
        assigned[iou[:, i] == most] = i + 1
    positive = assigned > 0
    own = boxes[assigned[positive] - 1]
    prior = anchors[positive]
    size = prior[:, 2:] - prior[:, :2]
    middle = (own[:, :2] + own[:, 2:] - prior[:, :2] - prior[:, 2:]) / 2
    deltas = torch.cat([middle / size, ((own[:, 2:] - own[:, :2]) / size).log()], 1)
    classes = torch.zeros(len(anchors), CLASSES)
    classes[positive, labels[assigned[positive] - 1]] = 1
    return classes, assigned >= 0, positive, deltas


def rows(maps, width):
    n = maps[0].shape[0]
    return torch.cat([m.reshape(n, ANCHORS, width, *m.shape[2:]).permute(0, 3, 4, 1, 2).reshape(n, -1, width) for m in maps], 1)


def loss_of(cls, box, boxes, labels):
    anchors = anchors_of([m.shape[2:] for m in cls])
    scores, deltas, total, count = rows(cls, CLASSES), rows(box, 4), 0, 0
    for n in range(scores.shape[0]):
        classes, used, positive, wanted = targets_of(anchors, boxes, labels)
        own, goal = scores[n][used], classes[used]
        p = own.sigmoid()
        at = p * goal + (1 - p) * (1 - goal)
        weight = (0.25 * goal + 0.75 * (1 - goal)) * (1 - at) ** 2
        total = total + (weight * F.binary_cross_entropy_with_logits(own, goal, reduction="none")).sum()
        total = total + F.smooth_l1_loss(deltas[n][positive], wanted, reduction="sum", beta=0.11)
        count += int(positive.sum())
    return total / max(count, 1)


def main():
    torch.set_num_threads(int(sys.argv[1]))
    height, width, batch = map(int, sys.argv[2:5])
    images = torch.rand(batch, 3, height, width)
    x, y = torch.rand(10) * width * 0.7, torch.rand(10) * height * 0.7
    size = 30 + torch.rand(2, 10) * min(height, width) * 0.25
    boxes, labels = torch.stack([x, y, x + size[0], y + size[1]], 1), torch.arange(10)
    benchmarks = {}
    for name, tower in {"plain": Plain(), "sepc": Sepc(CHANNELS, True)}.items():
        net = RetinaNet(tower).train()
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-4, momentum=0.9)

        def step(net=net, optimizer=optimizer):
            optimizer.zero_grad(set_to_none=True)
            loss_of(*net(images), boxes, labels).backward()
            optimizer.step()

        def forward(net=net):
            net.eval()
            with torch.inference_mode():
                net(images)
            net.train()

        benchmarks[f"step:{name}"] = step
        benchmarks[f"forward:{name}"] = forward
    serve(benchmarks)


main()
