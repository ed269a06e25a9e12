"""What a real GPU's sensors give: bursts of known length, measured again and again.

    python benchmarks/energy_on_gpu.py --out benchmarks/energy-on-gpu

Nobody knows the true energy of a burst on a real card. But equal bursts are equal: what scatters
from one to the next, under a random phase against the counter's updates, is the meter; and a burst
of a steady load should draw the power that the same load draws over 20 s. The ratio to that power
is printed for ours, for ours without the counter, and for a plain reading of the counter at both
ends. Then the recorder's own cost, and what it costs the load. Needs torch with a GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pynvml

from harness.energy.integration.windows import EnergyCurve, power_of
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import Trace, read_trace
from harness.settings.settings import EnergySettings

LENGTHS_S = (0.15, 0.3, 0.5, 1.0, 1.5, 3.0)
LONG_S = 20.0
PAUSE_S = 0.8
SETTINGS = EnergySettings(meters=("nvml",), idle_s=2.0)


@dataclass(frozen=True)
class Burst:
    """One burst of load: its ends on the monotonic clock, and the counter read at them, in J."""

    start_ns: int
    end_ns: int
    plain_j: float

    @property
    def length_s(self) -> float:
        """From end to end."""
        return (self.end_ns - self.start_ns) * 1e-9


class MatrixLoad:
    """Matrix products on the first GPU, in slices of about a millisecond."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self.device = torch.device("cuda")
        self._factor = torch.ones(4096, 4096, device=self.device, dtype=torch.bfloat16) / 4096
        self.uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"
        self.on(2.0)

    def on(self, seconds: float) -> int:
        """Be busy for so long; returns the number of products."""
        ends, products, out = time.monotonic() + seconds, 0, self._factor
        while time.monotonic() < ends:
            for _ in range(4):
                out = out @ self._factor
            products += 4
            self._torch.cuda.synchronize(self.device)
        return products


def measure_bursts(load: Any, trace: Path, repeats: int, seed: int) -> tuple[Trace, list[Burst]]:
    """Record bursts of every length in a seeded random order, a long one first and last."""
    draw = random.Random(seed)  # noqa: S311
    lengths_s = list(LENGTHS_S) * repeats
    draw.shuffle(lengths_s)
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(load.uuid)

    def counter_j() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000

    bursts = []
    setup = MeterSetup(psutil.Process().pid, (load.uuid,), 0.0, "")
    with Measurement(trace, SETTINGS, setup) as running:
        running.open_window()
        for length_s in [LONG_S, *lengths_s, LONG_S]:
            time.sleep(PAUSE_S + draw.uniform(0, 0.1))
            before_j, start_ns = counter_j(), running.mark()
            load.on(length_s)
            end_ns = running.mark()
            bursts.append(Burst(start_ns, end_ns, counter_j() - before_j))
        time.sleep(PAUSE_S)
    return read_trace(trace), bursts


def compare(trace: Trace, bursts: list[Burst]) -> list[dict[str, Any]]:
    """Mean power of each burst over that of the long ones, by way of measuring and length."""
    borders = [moment for burst in bursts for moment in (burst.start_ns, burst.end_ns)]
    counter = next(r for r in trace.readings if r.sensor.quantity == "energy")
    power = power_of(trace, counter.sensor.device)
    ours = EnergyCurve(counter, power, borders, trace.period_s)
    ways: dict[str, Callable[[Burst], float]] = {
        "ours": lambda b: ours.between(b.start_ns, b.end_ns).energy_j,
        "plain counter": lambda b: b.plain_j,
    }
    if power is not None:
        sampled = EnergyCurve(power, None, borders, trace.period_s)
        ways["ours, no counter"] = lambda b: sampled.between(b.start_ns, b.end_ns).energy_j
    long_w = statistics.fmean(ways["ours"](b) / b.length_s for b in (bursts[0], bursts[-1]))
    rows = []
    for name, energy_j in ways.items():
        for length_s in LENGTHS_S:
            own = [b for b in bursts if abs(b.length_s - length_s) < 0.05]
            ratios = [energy_j(b) / (long_w * b.length_s) - 1 for b in own]
            rows.append(
                {
                    "way": name,
                    "length_s": length_s,
                    "n": len(ratios),
                    "mean_percent": 100 * statistics.fmean(ratios),
                    "sd_percent": 100 * statistics.stdev(ratios),
                    "worst_percent": 100 * max(ratios, key=abs),
                    "stated_percent": 100
                    * statistics.fmean(
                        ours.between(b.start_ns, b.end_ns).border_j / ways["ours"](b) for b in own
                    ),
                }
            )
    return rows


def recorder_cost(load: Any, folder: Path, pairs: int, seconds: float = 4.0) -> dict[str, Any]:
    """The recorder's share of a core and memory, and the load's throughput with and without it."""
    ratios, shares, peak_bytes = [], [], 0
    for number in range(pairs):
        speeds = {}
        for recorded in (True, False) if number % 2 else (False, True):
            if not recorded:
                speeds[recorded] = load.on(seconds) / seconds
                continue
            setup = MeterSetup(psutil.Process().pid, (load.uuid,), 0.0, "")
            with Measurement(folder / f"cost-{number}.jsonl", SETTINGS, setup) as running:
                recorder = psutil.Process(running.recorder_process_id)
                running.open_window()
                before = recorder.cpu_times()
                speeds[recorded] = load.on(seconds) / seconds
                after = recorder.cpu_times()
                shares.append((sum(after[:2]) - sum(before[:2])) / seconds)
                peak_bytes = max(peak_bytes, recorder.memory_info().rss)
        ratios.append(speeds[True] / speeds[False] - 1)
    return {
        "pairs": pairs,
        "throughput_change_percent": 100 * statistics.fmean(ratios),
        "throughput_change_sd_percent": 100 * statistics.stdev(ratios),
        "core_share_percent": 100 * statistics.fmean(shares),
        "resident_mib": peak_bytes / 2**20,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| way | burst s | n | mean % | sd % | worst % | stated % |", "|---|" + "---:|" * 6]
    lines += [
        f"| {r['way']} | {r['length_s']} | {r['n']} | {r['mean_percent']:+.2f} | "
        f"{r['sd_percent']:.2f} | {r['worst_percent']:+.2f} | {r['stated_percent']:.2f} |"
        for r in rows
    ]
    return "\n".join(lines)


def doctor() -> Any:
    """What `doctor --load --json` says of this machine."""
    command = [sys.executable, "-m", "harness", "doctor", "--json", "--load"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def main(make_load: Callable[[], Any] = MatrixLoad) -> None:
    """Measure, print, and keep the raw records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
    }
    found["doctor"] = doctor()
    load = make_load()
    trace, bursts = measure_bursts(load, options.out / "trace.jsonl", options.repeats, options.seed)
    rows = compare(trace, bursts)
    cost = recorder_cost(load, options.out, options.pairs)
    found |= {"bursts": [vars(b) for b in bursts], "table": rows, "cost": cost}
    (options.out / "energy_on_gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    text = f"{table(rows)}\n\nrecorder: {json.dumps(cost)}\n"
    (options.out / "README.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
