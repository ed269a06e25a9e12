"""The share of a window in which GPUs were busy: training that waits for its CPU measures the CPU.

NVML's utilisation is the share of its last sample period, of 1/6 to 1 s as the product has it, in
which at least one kernel ran; how much of the chip it used is not in it. The recorder looks once a
second and writes down what has changed, and null where it can no longer be read. So windows of some
seconds are known well, and shorter ones only as part of what surrounds them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.energy.sensors.base import BUSY_PERIOD_NS
from harness.energy.trace import Trace


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

    A figure holds until the next, and no longer than sensors were read.

    Args:
        trace: What was recorded.
    """

    def __init__(self, trace: Trace) -> None:
        own = {each.sensor.device for each in trace.readings if each.sensor.owner == "run"}
        shares: dict[str, list[tuple[int, float]]] = {}
        for line in trace.events:
            if "busy_percent" in line and line.get("device") in own:
                percent = line["busy_percent"]
                share = math.nan if percent is None else float(percent) / 100
                # What could not be read is unknown from then on.
                from_ns = int(line["time_ns"]) - (0 if percent is None else BUSY_PERIOD_NS)
                shares.setdefault(line["device"], []).append((from_ns, share))
        self._devices = [_Steps(sorted(looks), trace.end_ns) for looks in shares.values()]

    def between(self, start_ns: int, end_ns: int) -> Busy:
        """How busy they were between two moments."""
        return sum((each.between(start_ns, end_ns) for each in self._devices), Busy())


class _Steps:
    """One GPU's share, which holds from a moment until the next; unknown where it is NaN."""

    def __init__(self, looks: Sequence[tuple[int, float]], end_ns: int) -> None:
        times_ns = np.array([*(time_ns for time_ns, _ in looks), end_ns], dtype=np.int64)
        shares = np.array([share for _, share in looks])
        held_ns = np.maximum(np.diff(times_ns), 0)
        known = np.isfinite(shares)
        self._from_ns = int(times_ns[0])
        self._upto_ns = np.cumsum([0, *held_ns])
        self._busy_ns = np.cumsum([0.0, *(held_ns * np.where(known, shares, 0.0))])
        self._watched_ns = np.cumsum([0, *(held_ns * known)])

    def between(self, start_ns: int, end_ns: int) -> Busy:
        ends_ns = np.array([start_ns, end_ns]) - self._from_ns
        busy_s, watched_s = (
            float(np.diff(np.interp(ends_ns, self._upto_ns, so_far))[0]) * 1e-9
            for so_far in (self._busy_ns, self._watched_ns)
        )
        return Busy(busy_s, watched_s)
