"""pycocotools on the files that are named: ground truth, results. Also answers "stats 1" with its 12 figures."""
import contextlib
import io
import json
import sys
import time

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def read():
    truth = COCO(sys.argv[1])
    return truth, truth.loadRes(sys.argv[2])


def evaluate(pair):
    run = COCOeval(*pair, "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    return [float(value) for value in run.stats]


def silently(body):
    with contextlib.redirect_stdout(io.StringIO()):
        return body()


pair = silently(read)
stats = None


def from_memory():
    global stats
    stats = silently(lambda: evaluate(pair))


def from_files():
    silently(lambda: evaluate(read()))


bodies = {"evaluate": from_memory, "files": from_files}
for line in sys.stdin:
    name, repetitions = line.split()
    if name == "stats":
        print(json.dumps(stats), flush=True)
        continue
    start = time.perf_counter()
    for _ in range(int(repetitions)):
        bodies[name]()
    print(time.perf_counter() - start, flush=True)
