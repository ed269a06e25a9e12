"""The CPU time of a run and of other work, and what both mean for an estimate of energy.

The power per busy thread depends on how many are busy. Of four machines whose counters were read
under load (CodeCarbon's load profiles) it falls on three, from the fewest threads to all, to a half
or a sixth; on the fourth, an E3-1240, it nearly doubles from one thread to two, and falls back with
all.
So an estimate with one power per thread is right at one concurrency alone; between two runs the
error cancels only where both kept as many threads busy. On a calibrated machine `by_curve` takes
the power of as many threads as were busy at each moment.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from harness.energy.integration.curve import Joules
from harness.energy.trace import Readings, Trace

MIN_BLOCK_S = 0.1
"""Shortest time over which busy threads are counted: CPU time comes in ticks of 10 ms, which blur
shorter ones."""


def by_curve(readings: Readings) -> Readings:
    """The energy of an estimate by its machine's power curve, out of its raw readings.

    In each block of a tenth of a second or more, CPU time over its length is the number of busy
    threads, and the curve's power over that number the watts of each. Readings without a curve
    are returned as they are.
    """
    curve, thread_w = readings.sensor.power_curve, readings.sensor.thread_power_w
    if curve is None or not thread_w or len(readings.value) < 2:
        return readings
    time_s = readings.time_s - readings.time_s[0]
    blocks = np.floor(time_s / MIN_BLOCK_S)
    ends = np.flatnonzero(np.append(np.diff(blocks) > 0, True))  # the last reading of each block
    knots = np.unique(np.concatenate([[0], ends]))
    lengths_s = np.diff(time_s[knots])
    cpu_s = np.diff(readings.value[knots]) / thread_w
    threads = cpu_s / np.maximum(lengths_s, 1e-9)
    busy = threads > 0
    watts = np.full(len(threads), thread_w)  # a counter that falls stays one
    watts[busy] = curve.watts(threads[busy]) / threads[busy]
    steps_j = np.diff(readings.value) * np.repeat(watts / thread_w, np.diff(knots))
    value = readings.value[0] + np.concatenate([[0.0], np.cumsum(steps_j)])
    return replace(readings, value=value)


def without_curve(readings: Readings) -> Readings:
    """The raw readings: CPU time x `thread_power_w`."""
    return replace(readings, sensor=replace(readings.sensor, power_curve=None))


def ratio_doubt(threads: float, others: float) -> float:
    """How far the ratio of two estimates may be off, as a share, by their unequal concurrency.

    At worst twice the threads draw no more in all: 8 and 16 busy threads of an EPYC 8024P, 5.8 and
    2.9 W each. So the power per thread is taken to change at most as their number does: that holds
    the E3-1240's rise, too, from 5.5 to 10.5 W each.

    Args:
        threads: Threads in use on one side.
        others: Threads in use on the other.
    """
    if not (threads > 0 and others > 0):
        return math.nan
    # Fewer than one thread on average are one that waits now and then.
    more, fewer = max(threads, others, 1.0), max(min(threads, others), 1.0)
    return more / fewer - 1


class OtherWork:
    """CPU time of everything on the machine but the run, over time.

    Args:
        trace: Where the recorder noted it, every few seconds.
    """

    def __init__(self, trace: Trace) -> None:
        looks = [each for each in trace.events if "other_cpu_s" in each.get("state", {})]
        counted_s = [each["state"]["other_cpu_s"] for each in looks]
        # A new recorder begins at 0.
        grown_s = np.maximum(np.diff(counted_s, prepend=counted_s[:1]), 0)
        self._times_ns = np.array([each["time_ns"] for each in looks], dtype=np.float64)
        self._upto_s = np.cumsum(grown_s)

    @property
    def is_known(self) -> bool:
        """Whether it was recorded twice or more."""
        return len(self._times_ns) > 1

    def between(self, start_ns: int, end_ns: int) -> float:
        """Seconds of CPU time between two moments."""
        if not self.is_known:
            return 0.0
        start_s, end_s = np.interp([start_ns, end_ns], self._times_ns, self._upto_s)
        return float(end_s - start_s)


def estimate_doubt_j(joules: Joules, own_s: float, other_s: float) -> float:
    """By how much other work may have inflated an estimate.

    Threads that share a core, its caches and its clock with others take longer for the same work,
    and the power per thread is lower the more are busy. The share of the busy CPU time that was the
    others' is taken as a bound (our judgement).

    Args:
        joules: The estimate.
        own_s: CPU time of the run.
        other_s: CPU time of other work meanwhile.
    """
    if own_s <= 0 or other_s <= 0:
        return 0.0
    return joules.energy_j * other_s / (own_s + other_s)
