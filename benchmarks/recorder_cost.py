"""What the recorder costs: its share of a core, its memory, and what training loses to it.

    python benchmarks/recorder_cost.py [--seconds S] [--pairs N] [--json FILE]

Eight stand-in GPUs, default settings, a border every 5 s; about 6 minutes, in real time. Training
is a small network on the CPU. With and without the recorder take turns within seconds: "without"
it is stopped by a signal, so that nothing is started or ended meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import at_least, change, circumstances, heading, ratio
from harness.energy.recorder.process import RecorderProcess
from harness.energy.sensors.base import MeterSetup
from harness.settings.settings import EnergySettings
from tests.fakes.stand_in import StandIn, build

GPUS = 8
BORDER_PERIOD_S = 5.0
LEG_S = 1.0
MIN_PAIRS = 8
"""A quarter of them is with two threads, and an interval needs two."""
SETTLE_S = 0.1
"""After the recorder was stopped or went on, before steps are counted."""


@contextmanager
def recorder(folder: Path) -> Iterator[psutil.Process]:
    """A recorder of eight GPUs that hears of a border every 5 s."""
    machine = StandIn(folder / "state", power_w=[100.0 + 30 * n for n in range(GPUS)], noise=0.005)
    os.environ.update(machine.environment(build(folder)))
    trace = folder / "trace.jsonl"
    heard, announce = os.pipe()
    started = RecorderProcess(
        trace, EnergySettings(), MeterSetup(os.getpid(), None, 4.0, "none"), heard
    )
    os.close(heard)
    over = threading.Event()

    def announce_borders() -> None:
        while not over.wait(BORDER_PERIOD_S):
            os.write(announce, b"|")

    thread = threading.Thread(target=announce_borders, daemon=True)
    thread.start()
    with trace.open() as lines:
        process = psutil.Process(json.loads(lines.readline())["recorder_pid"])
    try:
        yield process
    finally:
        over.set()
        thread.join()
        started.stop()
        os.close(announce)
        machine.close()


def steady(process: psutil.Process, seconds: float) -> dict[str, float]:
    """CPU time as a share of a core over so long, and the most memory it ever held."""
    before, begin = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, length_s = process.cpu_times(), time.monotonic() - begin
    used_s = after.user + after.system - before.user - before.system
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak_kib = next(int(line.split()[1]) for line in status.split("\n") if line[:6] == "VmHWM:")
    return {"seconds": length_s, "core_percent": 100 * used_s / length_s, "mib": peak_kib / 1024}


def training() -> Callable[[], None]:
    """A step of training a small network on random images."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 64, 10)),
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(64, 1, 8, 8), torch.randint(10, (64,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def throughput(step: Callable[[], None]) -> dict[str, float]:
    """Steps over one leg: a second, and a second of this process's CPU time."""
    time.sleep(SETTLE_S)
    steps, begin, begin_cpu = 0, time.monotonic(), time.process_time()
    while (now := time.monotonic()) - begin < LEG_S:
        step()
        steps += 1
    used_s = time.process_time() - begin_cpu
    return {"per_s": steps / (now - begin), "per_cpu_s": steps / used_s}


def paired(process: psutil.Process, threads: int, pairs: int) -> dict[str, Any]:
    """Throughput with the recorder over that without, as a change in percent."""
    torch.set_num_threads(threads)
    step, order = training(), random.Random(threads)  # noqa: S311 - an order is no secret
    throughput(step)
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(pairs):
        for with_it in order.sample([True, False], 2):
            process.send_signal(signal.SIGCONT if with_it else signal.SIGSTOP)
            found[with_it].append(throughput(step))
    process.send_signal(signal.SIGCONT)
    percent = {
        kind: ratio(
            [leg[kind] for leg in found[True]], [leg[kind] for leg in found[False]]
        ).percent()
        for kind in ("per_s", "per_cpu_s")
    }
    return {"threads": threads, "percent": percent, "with": found[True], "without": found[False]}


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    alone = record["steady"]
    lines = [
        *heading(record, "What the recorder costs"),
        f"- {GPUS} stand-in GPUs, default settings, a border every {BORDER_PERIOD_S:g} s",
        "",
        "| | |",
        "|---|---|",
        (
            f"| CPU time, share of one core over {alone['seconds']:.0f} s | "
            f"{alone['core_percent']:.1f} % |"
        ),
        f"| peak resident memory | {alone['mib']:.0f} MiB |",
    ]
    for each in record["throughput"]:
        threads = f"{each['threads']} thread{'s' * (each['threads'] > 1)}"
        for kind, of in (("per_s", "second"), ("per_cpu_s", "second of its CPU time")):
            lines.append(
                f"| steps of training a {of} with it, {threads}, {len(each['with'])} pairs (95 %) "
                f"| {change(each['percent'][kind])} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=60, help="of steady recording")
    pairs = at_least(MIN_PAIRS)
    parser.add_argument("--pairs", type=pairs, default=80, help="of legs with and without")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, recorder(Path(folder)) as process:
        record = {
            **circumstances(),
            "steady": steady(process, options.seconds),
            "throughput": [
                paired(process, threads, options.pairs // threads**2) for threads in (1, 2)
            ],
        }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
