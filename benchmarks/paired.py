"""Two ways to do the same work, measured in turns: what one takes as a share of the other.

A machine that others use as well is slow and fast by turns, and so are both ways alike if they
follow each other within seconds. Hence ratios within a round, never figures of two runs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from scipy import stats

T = TypeVar("T")


class Ratio(NamedTuple):
    """A geometric mean of ratios, and its 95 % interval."""

    mean: float
    low: float
    high: float

    def percent(self) -> list[float]:
        """The same as changes in percent."""
        return [100 * (value - 1) for value in self]


def ratio(ours: Sequence[float], others: Sequence[float]) -> Ratio:
    """Ours over the others', pair by pair (Student's t on the log scale).

    Raises:
        ValueError: There are fewer than two pairs, or one side lacks a partner.
    """
    logs = [math.log(a / b) for a, b in zip(ours, others, strict=True)]
    if len(logs) < 2:
        raise ValueError("an interval needs two pairs at least")
    mean, half = interval(logs)
    return Ratio(*(math.exp(value) for value in (mean, mean - half, mean + half)))


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option whose value is a whole number of at least this."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return int(text)

    return number


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student's t)."""
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(half)


def in_turns(ways: Mapping[str, Callable[[], T]], rounds: int, seed: int = 0) -> dict[str, list[T]]:
    """What each way gives, once a round, in an order drawn anew for each round."""
    order = random.Random(seed)  # noqa: S311 - an order is no secret
    found: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in order.sample(list(ways), len(ways)):
            found[name].append(ways[name]())
    return found


def timed(work: Callable[[], Any], device: torch.device) -> dict[str, float]:
    """Seconds that `work` takes until `device` is done, and CPU seconds of this process."""
    _wait_for(device)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work()
    _wait_for(device)
    return {"s": time.perf_counter() - begin, "cpu_s": time.process_time() - begin_cpu}


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def circumstances() -> dict[str, Any]:
    """When, where and how this process was called."""
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} {platform.machine()} cores, {platform.system()}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def change(percent: Sequence[float]) -> str:
    """A change in percent, with its interval."""
    mean, low, high = percent
    return f"{mean:+.2f} % ({low:+.2f} to {high:+.2f})"


def factor(of: Sequence[float]) -> str:
    """A ratio with its interval."""
    mean, low, high = of
    return f"{mean:.3g} ({low:.3g} to {high:.3g})"


def repeated(record: Mapping[str, Any], work: str) -> str:
    """A line on what was repeated, of a record that holds `circumstances` and `rounds`."""
    return f"- {work}; rounds: {record['rounds']}, threads: {record['threads']}"


def heading(record: Mapping[str, Any], title: str) -> list[str]:
    """The first lines of a result, of a record that holds `circumstances`."""
    gpu = f", {record['gpu']}" if record["gpu"] else ""
    versions = f"Python {record['python']}, torch {record['torch']}"
    return [
        f"# {title}",
        "",
        f"- Command: `{record['command']}`, {record['date']}",
        f"- Machine: {record['machine']}{gpu}; {versions}",
    ]
