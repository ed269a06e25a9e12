"""What CPU threads do to the training of small and larger networks, alone and beside others.

Each combination trains in a process of its own, for some seconds at a time and in turns:

- one thread or all of them, which wait for each other spinning (OpenMP's default) or asleep;
- alone, or beside one process that keeps a core busy.

    python benchmarks/threads.py [--rounds N] [--seconds S]

Prints, as JSON, steps a second of wall and of CPU time, and threads in use: medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
NETWORKS = {"vgg_small 8x8, batch 64": (8, 1, 64), "resnet18 32x32, batch 32": (32, 3, 32)}
BUSY = [sys.executable, "-c", "while True: pass"]
TRAIN = """
import json, sys, time, torch
from torch.nn import functional
from harness.workloads.models.resnet import resnet18
from harness.workloads.models.vgg import vgg_small
size, channels, batch, threads, seconds = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(0)
network = (vgg_small if size == 8 else resnet18)(channels, 10)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
images, labels = torch.randn(batch, channels, size, size), torch.randint(10, (batch,))
def step():
    optimizer.zero_grad(set_to_none=True)
    functional.cross_entropy(network(images), labels).backward()
    optimizer.step()
for _ in range(3):
    step()
steps, wall, cpu = 0, time.monotonic(), time.process_time()
while time.monotonic() - wall < seconds:
    step()
    steps += 1
wall_s, cpu_s = time.monotonic() - wall, time.process_time() - cpu
print(json.dumps([steps / wall_s, steps / cpu_s, cpu_s / wall_s]))
"""


def trained(network: str, threads: int, waiting: str, seconds: int) -> list[float]:
    """Steps a second of wall time and of CPU time, and threads in use."""
    words = [*NETWORKS[network], threads, seconds]
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN, *map(str, words)],
        env={**os.environ, "OMP_WAIT_POLICY": waiting, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[float] = json.loads(ended.stdout)
    return found


def main() -> None:
    """Try all combinations in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    most = len(os.sched_getaffinity(0))
    ways = [*product(NETWORKS, sorted({1, most}), ("ACTIVE", "PASSIVE"), (False, True))]
    found: dict[Any, list[list[float]]] = {way: [] for way in ways}
    for _ in range(asked.rounds):
        for network, threads, waiting, beside in ways:
            neighbour = subprocess.Popen(BUSY) if beside else None
            try:
                result = trained(network, threads, waiting, asked.seconds)
            finally:
                if neighbour:
                    neighbour.kill()
                    neighbour.wait()
            found[network, threads, waiting, beside].append(result)
    rows = []
    for (network, threads, waiting, beside), each in found.items():
        wall, cpu, used = (statistics.median(column) for column in zip(*each, strict=True))
        row = {"network": network, "threads": threads, "waiting": waiting.lower()}
        row |= {"beside_a_busy_process": beside, "steps_per_s": wall}
        rows.append(row | {"steps_per_cpu_s": cpu, "threads_in_use": used})
    print(json.dumps({"cores": most, "rounds": asked.rounds, "rows": rows}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
