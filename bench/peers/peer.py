"""Answers "name repetitions" on standard input with the seconds that the repetitions took."""
import sys
import time


def serve(benchmarks):
    for line in sys.stdin:
        name, repetitions = line.split()
        body = benchmarks[name]
        start = time.perf_counter()
        for _ in range(int(repetitions)):
            body()
        print(time.perf_counter() - start, flush=True)
