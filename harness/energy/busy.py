"""For how much of a window GPUs were busy: a training that waits for its CPU measures the CPU.

NVML's utilisation is the share of its last sample period, of 1/6 to 1 s as the product has it, in
which at least one kernel ran; how much of the chip it used is not in it. The recorder looks once a
second and writes down what has changed, so that windows of some seconds are known well, and shorter
ones only as part of what surrounds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.energy.trace import Trace

PERIOD_NS = 1_000_000_000
"""Time between two looks, and what each stands for: the longest sample period of NVML."""


@dataclass(frozen=True)
class Busy:
    """How long GPUs were busy, of how long they were watched; s, summed over them."""

    busy_s: float = 0.0
    watched_s: float = 0.0

    @property
    def share(self) -> float:
        """From 0 to 1; NaN if none was watched."""
        return self.busy_s / self.watched_s if self.watched_s > 0 else math.nan

    def __add__(self, other: Busy) -> Busy:
        return Busy(self.busy_s + other.busy_s, self.watched_s + other.watched_s)


class BusyCurve:
    """How long the GPUs of a run had been busy at any moment of an attempt.

    Args:
        trace: What was recorded.
    """

    def __init__(self, trace: Trace) -> None:
        own = {each.sensor.device for each in trace.readings if each.sensor.owner == "run"}
        told: dict[str, list[tuple[int, float]]] = {}
        for line in trace.told:
            if "busy_percent" in line and line.get("device") in own:
                looked = (int(line["time_ns"]) - PERIOD_NS, float(line["busy_percent"]) / 100)
                told.setdefault(line["device"], []).append(looked)
        self._devices = [_Steps(sorted(looks)) for looks in told.values()]

    def between(self, start_ns: int, end_ns: int) -> Busy:
        """How busy they were between two moments."""
        return sum((each.between(start_ns, end_ns) for each in self._devices), Busy())


class _Steps:
    """One GPU's share, which holds from a moment until the next; unknown before the first."""

    def __init__(self, looks: Iterable[tuple[int, float]]) -> None:
        times_ns, shares = zip(*looks, strict=True)
        self._times_ns: NDArray[np.int64] = np.array(times_ns, dtype=np.int64)
        self._shares: NDArray[np.float64] = np.array(shares)
        held_s = np.diff(self._times_ns) * 1e-9
        self._busy_s = np.concatenate([[0.0], np.cumsum(held_s * self._shares[:-1])])

    def between(self, start_ns: int, end_ns: int) -> Busy:
        first_ns = int(self._times_ns[0])
        start_ns, end_ns = max(start_ns, first_ns), max(end_ns, first_ns)
        return Busy(self._until(end_ns) - self._until(start_ns), (end_ns - start_ns) * 1e-9)

    def _until(self, moment_ns: int) -> float:
        last = int(np.searchsorted(self._times_ns, moment_ns, side="right")) - 1
        since_s = (moment_ns - int(self._times_ns[last])) * 1e-9
        return float(self._busy_s[last] + self._shares[last] * since_s)
