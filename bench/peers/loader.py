"""torch's DataLoader with PIL, as bench/loader.ts: decode, resize keeping the ratio, mirror, normalise, pad, collate."""
import random
import sys
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from peer import serve

folder, workers, long, short, batch = sys.argv[1], *map(int, sys.argv[2:6])
mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
scale = 1 / torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
torch.set_num_threads(1)


class Pictures(Dataset):
    def __init__(self):
        endings = {".jpg", ".jpeg", ".png"}
        self.files = sorted(str(file) for file in Path(folder).iterdir() if file.suffix.lower() in endings)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, place):
        picture = Image.open(self.files[place]).convert("RGB")
        width, height = picture.size
        ratio = min(long / max(width, height), short / min(width, height))
        width, height = int(width * ratio + 0.5), int(height * ratio + 0.5)
        picture = picture.resize((width, height), Image.BILINEAR)
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        pixels = pixels.view(height, width, 3).permute(2, 0, 1).float()
        pixels = (pixels - mean) * scale
        return pixels.flip(2) if random.random() < 0.5 else pixels


def collate(pictures):
    height = -(-max(one.shape[1] for one in pictures) // 32) * 32
    width = -(-max(one.shape[2] for one in pictures) // 32) * 32
    batch = torch.zeros(len(pictures), 3, height, width)
    for place, one in enumerate(pictures):
        batch[place, :, : one.shape[1], : one.shape[2]] = one
    return batch


loader = DataLoader(
    Pictures(),
    batch_size=batch,
    shuffle=True,
    num_workers=workers,
    collate_fn=collate,
    persistent_workers=workers > 0,
)


def epoch():
    for _ in loader:
        pass


serve({"epoch": epoch})
