"""What CPU threads do to the training of small and larger networks, alone and beside others.

Each combination trains in a process of its own, for some seconds at a time and in turns:

- one thread or all of them, which wait for each other spinning (OpenMP's default) or asleep;
- alone, or beside one process that keeps a core busy.

    python benchmarks/threads.py --json benchmarks/threads.json > benchmarks/threads.md

`SMALL_STEP_MACS` of `harness/training/device.py` follows from it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.paired import circumstances, heading, in_turns, ratio  # noqa: E402

NETWORKS = {
    "vgg_small, 64 images of 8 x 8": ("vgg_small", 8, 1, 64),
    "vgg_small, 64 images of 16 x 16": ("vgg_small", 16, 1, 64),
    "vgg_small, 64 images of 32 x 32": ("vgg_small", 32, 1, 64),
    "resnet18, 8 images of 32 x 32": ("resnet18", 32, 3, 8),
    "resnet18, 32 images of 32 x 32": ("resnet18", 32, 3, 32),
}
"""Model, pixels, channels, batch size."""
COLUMNS = (
    "network",
    "MACs of a step",
    "asleep, alone",
    "asleep, beside",
    "spinning, alone",
    "spinning, beside",
    "CPU time of a step: asleep, alone",
    "spinning, beside",
)
BUSY = [sys.executable, "-c", "while True: pass"]
TRAIN = """
import json, sys, time, torch
from torch.nn import functional
from harness.pruning.cost import size_of
from harness.workloads.models.resnet import resnet18
from harness.workloads.models.vgg import vgg_small
size, channels, batch, threads, seconds = map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(0)
network = {"resnet18": resnet18, "vgg_small": vgg_small}[sys.argv[1]](channels, 10)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
images, labels = torch.randn(batch, channels, size, size), torch.randint(10, (batch,))
macs = batch * size_of(network, images[:1], {}).macs
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
print(json.dumps({"macs": macs, "steps_per_s": steps / wall_s, "steps_per_cpu_s": steps / cpu_s}))
"""


def trained(network: str, threads: int, waiting: str, beside: bool, seconds: int) -> dict[str, Any]:
    """Multiply-accumulates of a step's forward pass, steps a second of wall and of CPU time."""
    words = [*NETWORKS[network], threads, seconds]
    neighbour = subprocess.Popen(BUSY) if beside else None
    try:
        ended = subprocess.run(
            [sys.executable, "-c", TRAIN, *map(str, words)],
            env={**os.environ, "OMP_WAIT_POLICY": waiting, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        if neighbour:
            neighbour.kill()
            neighbour.wait()
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def compared(network: str, rounds: int, seconds: int) -> dict[str, Any]:
    """One thread against all of them, by how they wait and whether others work meanwhile."""
    threads = len(os.sched_getaffinity(0))
    ways = {
        f"{count}, {waiting}, {'beside' if beside else 'alone'}": partial(
            trained, network, count, waiting, beside, seconds
        )
        for count in (1, threads)
        for waiting in ("passive", "active")
        for beside in (False, True)
    }
    found = in_turns(ways, rounds)
    macs = next(iter(found.values()))[0]["macs"]
    ratios = {}
    for waiting, beside, column in product(
        ("passive", "active"), ("alone", "beside"), ("steps_per_s", "steps_per_cpu_s")
    ):
        one, all_ = (
            [each[column] for each in found[f"{count}, {waiting}, {beside}"]]
            for count in (1, threads)
        )
        ratios[f"{waiting}, {beside}, {column}"] = ratio(all_, one)
    return {"forward_macs_per_step": macs, "ratios": ratios, "records": found}


def table(record: dict[str, Any]) -> str:
    """What all threads do beside what one does, as Markdown."""
    lines = [
        *heading(record, "What CPU threads do to the training of small networks"),
        f"- Steps per second with {record['threads']} threads, relative to one thread",
        f"- Mean and 95 % interval of {record['rounds']} rounds of {record['seconds']} s, in turns",
        "- Beside: another process keeps a core busy",
        "- Spinning is OpenMP's default; the harness lets idle threads sleep",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, case in record["cases"].items():
        ratios = case["ratios"]
        cells = [
            "{:.2f} ({:.2f} to {:.2f})".format(*ratios[f"{way}, steps_per_s"])
            for way in ("passive, alone", "passive, beside", "active, alone", "active, beside")
        ]
        cells += [
            "{:.2f} ×".format(1 / ratios[f"{way}, steps_per_cpu_s"][0])
            for way in ("passive, alone", "active, beside")
        ]
        macs = f"{case['forward_macs_per_step'] / 1e9:.2g} G"
        lines.append(f"| {name} | {macs} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    record = {
        **circumstances(),
        "threads": len(os.sched_getaffinity(0)),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "cases": {name: compared(name, options.rounds, options.seconds) for name in options.only},
    }
    sys.stdout.write(table(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
