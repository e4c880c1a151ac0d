"""The paper's composition for bench/heads.ts."""
import sys

import torch

from peer import serve
from sepc import Sepc


def main():
    torch.set_num_threads(int(sys.argv[1]))
    height, width, channels = map(int, sys.argv[2:5])
    levels = [
        torch.randn(1, channels, -(-height // 2**i), -(-width // 2**i)).requires_grad_() for i in range(3, 8)
    ]
    towers = {"sepc-lite": Sepc(channels, False), "sepc": Sepc(channels, True)}

    def forward(tower):
        with torch.inference_mode():
            tower(levels)

    def step(tower):
        tower.zero_grad(set_to_none=True)
        sum(map(torch.sum, tower(levels))).backward()

    benchmarks = {}
    for name, tower in towers.items():
        benchmarks[f"step:{name}"] = lambda tower=tower: step(tower.train())
        benchmarks[f"forward:{name}"] = lambda tower=tower: forward(tower.eval())
    serve(benchmarks)


main()
