"""Integrates sampled power over windows, each from the readings that saw nothing but it.

A reading is an average over some time before it, and up to one update old. Readings whose time
reaches over an edge are left out, and the window's own are extended to its edges. What a sensor
does not see between two samples may be anything (aliasing): it is part of the uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.counter import max_power_w
from harness.energy.integration.curve import (
    GATHERED,
    Curve,
    Floats,
    hidden_power_w,
    joined,
    unknown_power_w,
)
from harness.energy.integration.window_edges import UNSTEADY
from harness.energy.sensors.base import Sensor
from harness.energy.trace import Readings

SMOOTHED = 0.2
"""Assumed variation of power within a window, as a share of it, if readings are averaged over a
long time (our judgement: such a sensor cannot show it)."""


@dataclass(frozen=True)
class Samples:
    """The plausible readings of a power sensor.

    Attributes:
        sensor: What was read.
        time_s: Moments of the readings, shape (readings,), rising.
        power_w: The readings, shape (readings,).
        gaps: The readings before and after each time in which nothing usable was read, as
            moments, shape (gaps, 2).
    """

    sensor: Sensor
    time_s: Floats
    power_w: Floats
    gaps: Floats

    @cached_property
    def range_w(self) -> tuple[float, float]:
        """The least and the most that the device draws, from its readings and its limit."""
        most_w = max(self.sensor.ceiling_w or 0.0, float(self.power_w.max()))
        return float(self.power_w.min()), most_w

    @property
    def blind(self) -> float:
        """Share of the time in which the sensor does not look."""
        sensor = self.sensor
        return 1 - min(sensor.window_s / sensor.update_s, 1.0) if sensor.update_s else 0.0

    @property
    def late_s(self) -> float:
        """Mean age of what a reading shows."""
        return (self.sensor.update_s + self.sensor.window_s) / 2

    def curve(self, starts_s: Floats, ends_s: Floats) -> Curve:
        """The energy of windows that follow each other, with nodes at their readings and ends."""
        return _Windows(self, starts_s, ends_s).curve()


class _Windows:
    """Nodes of all windows, one window after the other, and the steps between them.

    A step is within a window: where one ends and the next begins, there are two nodes at the same
    moment, and no step between them. Arrays per window have the shape (windows,), per step
    (steps,).
    """

    def __init__(self, samples: Samples, starts_s: Floats, ends_s: Floats) -> None:
        self._samples = samples
        self._length_s = ends_s - starts_s
        self._place(starts_s, ends_s)
        windows = np.arange(len(starts_s))
        # Steps are counted without the places between windows.
        self._row = np.repeat(windows, self._nodes - 1)
        self._left = np.arange(len(self._row)) + self._row
        self._first_step = self._first_node - windows
        self._last_step = self._first_step + self._nodes - 2
        self._apart_s = self._step(self._time_s)
        self._mean_w = self._sum(self._apart_s * self._mean(self._power_w)) / self._length_s

    def _place(self, starts_s: Floats, ends_s: Floats) -> None:
        """Find every window's nodes and the power at each."""
        samples = self._samples
        seen_s = samples.time_s - samples.late_s
        first = np.searchsorted(samples.time_s, starts_s + 2 * samples.late_s)
        end = np.searchsorted(samples.time_s, ends_s, side="right")
        self._clean = clean = end > first
        # If none saw nothing but the window, all readings in it are used.
        first = np.where(clean, first, np.searchsorted(seen_s, starts_s, side="right"))
        end = np.where(clean, end, np.searchsorted(seen_s, ends_s))
        count = np.maximum(end - first, 0)
        self._nodes = count + 2
        self._first_node = np.cumsum(self._nodes) - self._nodes
        last_node = self._first_node + count + 1
        row = np.repeat(np.arange(len(count)), count)
        reading = np.arange(len(row)) + np.repeat(first - np.cumsum(count) + count, count)
        inner = np.arange(len(row)) + 2 * row + 1
        self._time_s = np.empty(int(self._nodes.sum()))
        self._time_s[self._first_node] = starts_s
        self._time_s[inner] = np.clip(seen_s[reading], starts_s[row], ends_s[row])
        self._time_s[last_node] = ends_s
        self._power_w = np.interp(self._time_s, seen_s, samples.power_w)
        self._power_w[inner] = samples.power_w[reading]
        self._power_w[self._first_node[clean]] = samples.power_w[first[clean]]
        self._power_w[last_node[clean]] = samples.power_w[end[clean] - 1]

    def curve(self) -> Curve:
        """The curve from the first window's start to the last one's end, from zero."""
        apart_s, row = self._apart_s, self._row
        lost_s = self._lost_s()
        unresolved = ~self._clean & (self._samples.sensor.update_s > 0)
        steps = {
            "energy_j": apart_s * self._mean(self._power_w),
            "random_var": self._random_var(),
            "gap_j": self._bound(unknown_power_w)[row] * np.where(unresolved[row], apart_s, lost_s),
            "aliasing_j": (self._unseen() * self._bound(hidden_power_w))[row] * apart_s,
            "looks": apart_s / self._samples.sensor.update_s
            if self._samples.blind
            else 0 * apart_s,
            "seen_s": apart_s - lost_s,
        }
        gathered = self._gathered(np.stack([steps[name] for name in GATHERED]))
        return Curve(
            time_s=self._time_s,
            edge_var=np.zeros(len(self._time_s)),
            **dict(zip(GATHERED, gathered, strict=True)),
        )

    def _gathered(self, steps: Floats) -> Floats:
        """Cumulative sums of the steps, at every node."""
        found = np.zeros((len(steps), len(self._time_s)))
        base = np.zeros((len(steps), 1))
        # Window by window: a sum from the first would round a short window by the whole run.
        ends = [*self._first_node.tolist(), len(self._time_s)]
        for row, (first, end) in enumerate(pairwise(ends)):
            within = np.cumsum(steps[:, first - row : end - row - 1], axis=1)
            found[:, first:end] = base
            found[:, first + 1 : end] += within
            base = found[:, end - 1 : end]
        return found

    def _step(self, at_nodes: Floats) -> Floats:
        """The rise from node to node."""
        rise: Floats = at_nodes[self._left + 1] - at_nodes[self._left]
        return rise

    def _mean(self, at_nodes: Floats) -> Floats:
        """The mean of both ends of each step."""
        mean: Floats = (at_nodes[self._left + 1] + at_nodes[self._left]) / 2
        return mean

    def _sum(self, of_steps: Floats) -> Floats:
        """The sum over each window."""
        return np.add.reduceat(of_steps, self._first_step)

    def _lost_s(self) -> Floats:
        """Time of each step that is in gaps."""
        gaps = self._samples.gaps - self._samples.late_s
        if not len(gaps):
            return np.zeros(len(self._row))
        lengths = gaps[:, 1] - gaps[:, 0]
        upto = np.repeat(np.cumsum(lengths), 2)
        upto[0::2] -= lengths
        return self._step(np.interp(self._time_s, gaps.ravel(), upto))

    def _bound(self, doubt_w: Callable[[float, float, float], float]) -> Floats:
        """Uncertainty of each window's mean power, from the range of the device's power."""
        floor_w, ceiling_w = self._samples.range_w
        return np.array([doubt_w(mean_w, floor_w, ceiling_w) for mean_w in self._mean_w.tolist()])

    def _unseen(self) -> Floats:
        """Share of the time for which the readings say nothing about the power.

        A sensor that looks at a part of the time sees a load in step with it as constant. If one
        reading differs from the next as much as the range of power allows, the load is not in
        step, and the samples speak for the rest; their scatter is in `_random_var`.
        """
        samples = self._samples
        half_range_w = (samples.power_w.max() - samples.range_w[0]) / 2
        varies = self._flicker_w / half_range_w if half_range_w else 0.0
        unseen: Floats = samples.blind * np.maximum(1 - varies, 0.0)
        return unseen

    @cached_property
    def _flicker_w(self) -> Floats:
        """Variation of power from one update to the next, as a standard deviation.

        Slow changes are left out: they say nothing about what is drawn between two looks.
        """
        if not self._samples.blind:
            return np.zeros(len(self._length_s))
        updates = np.maximum(self._length_s / self._samples.sensor.update_s, 1.0)
        flicker_w: Floats = np.sqrt(self._sum(self._step(self._power_w) ** 2) / (2 * updates))
        return flicker_w

    def _random_var(self) -> Floats:
        """Variance in each step: of power that varies, is extended to edges, or not sampled."""
        sensor, apart_s = self._samples.sensor, self._apart_s
        smoothed = sensor.window_s > sensor.update_s > 0
        unsteady_w = (SMOOTHED if smoothed else UNSTEADY) * self._mean_w
        ends_s2 = apart_s[self._first_step] ** 2 + apart_s[self._last_step] ** 2
        ends_j2 = np.maximum(self._spread_w(), unsteady_w) ** 2 * ends_s2
        if not smoothed:
            ends_j2 += 2 * self._within_window_var()
        unseen_j2 = self._flicker_w**2 * sensor.update_s * self._samples.blind * self._length_s
        ends_j2 += self._beat_var()
        jumps = (self._step(self._power_w) * apart_s) ** 2 / 12
        variance: Floats = ((ends_j2 + unseen_j2) / self._length_s)[self._row] * apart_s + jumps
        return variance

    def _beat_var(self) -> Floats:
        """Variance of the energy of each window if what varies in it is a fast load's beat, in J².

        A fast load that is nearly in step with the looks is seen as a slow one. A window holds some
        swings of that and a part of one; how large a part does not follow from what it draws.
        """
        above = self._power_w > np.repeat(self._mean_w, self._nodes)
        swings = self._sum(np.abs(self._step(above.astype(np.float64))))
        off_j = self._samples.blind * self._spread_w() * self._length_s / (swings + 1)
        return off_j**2 / 3

    def _within_window_var(self) -> Floats:
        """Variance of the share of a reading's averaging window before an edge, in J².

        Of all loads that a sensor sees as constant, one that is either at the least or at the most
        power in step with it is the most uneven: the energy up to a moment is then uniform within
        this range, if all phases are equally likely.
        """
        floor_w, ceiling_w = self._samples.range_w
        below_w = np.maximum(self._mean_w - floor_w, 0.0)
        above_w = np.maximum(ceiling_w - self._mean_w, 0.0)
        both_w = np.where(below_w + above_w > 0, below_w + above_w, 1.0)
        range_j = below_w * above_w / both_w * self._samples.sensor.window_s
        return range_j**2 / 12

    def _spread_w(self) -> Floats:
        """Standard deviation of the power over each window's time."""
        squares = self._sum(self._apart_s * self._mean(self._power_w**2)) / self._length_s
        return np.sqrt(np.maximum(squares - self._mean_w**2, 0.0))


SILENT_S = 1.0
"""The recorder leaves out equal readings for up to this long."""
_MAX_PERIODS = 3.0


class SampledPower:
    """The cumulative energy of one power sensor, computed only up to the moment asked for.

    A counter needs little of the power beside it, and windows do not depend on later ones.

    Args:
        readings: Its readings.
        edges_s: Where the load may change, rising.
        period_s: Time between readings that was asked for.
    """

    def __init__(self, readings: Readings, edges_s: Floats, period_s: float) -> None:
        time_s, power_w, failed_s = _split_plausible(readings)
        self._ends_s = np.zeros(0)
        self._done: list[Curve] = []
        self._begun = 0
        if len(time_s):
            sensor = readings.sensor
            period_s = max(period_s, sensor.poll_s)
            self._samples = Samples(sensor, time_s, power_w, _gaps(time_s, failed_s, period_s))
            first_s, last_s = time_s[[0, -1]] - self._samples.late_s
            inside = edges_s[(edges_s > first_s) & (edges_s < time_s[-1])]
            self._ends_s = np.unique([first_s, *inside, inside.max(initial=last_s)])

    @property
    def spans(self) -> tuple[float, float] | None:
        """From when to when there is a curve; None if there is none."""
        ends_s = self._ends_s
        return (float(ends_s[0]), float(ends_s[-1])) if len(ends_s) > 1 else None

    def curve(self, until_s: float = np.inf) -> Curve:
        """The curve up to the end of the window that holds `until_s`, or to its own end."""
        starts_s, ends_s = self._ends_s[:-1], self._ends_s[1:]
        wanted = slice(self._begun, int(np.searchsorted(starts_s, until_s)))
        if wanted.stop > wanted.start:
            self._done.append(self._samples.curve(starts_s[wanted], ends_s[wanted]))
            self._begun = wanted.stop
        return joined(self._done)


def plausible(readings: Readings) -> NDArray[np.bool_]:
    """Which power readings are plausible, shape (readings,)."""
    most_w = max_power_w(readings.sensor)
    good: NDArray[np.bool_] = (readings.value >= 0) & (readings.value <= most_w)
    return good


def _split_plausible(readings: Readings) -> tuple[Floats, Floats, Floats]:
    """Moments, powers, and moments of failed readings; absurd powers count as failed."""
    good = plausible(readings)
    time_s = readings.time_s
    failed_s = np.sort(np.concatenate([readings.failed_ns * 1e-9, time_s[~good]]))
    return time_s[good], readings.value[good], failed_s


def _gaps(time_s: Floats, failed_s: Floats, period_s: float) -> Floats:
    """From and to where nothing usable was read, shape (gaps, 2)."""
    failures = np.diff(np.searchsorted(failed_s, time_s))
    is_gap = (failures > 0) | (np.diff(time_s) > SILENT_S + _MAX_PERIODS * period_s)
    where = np.flatnonzero(is_gap)
    return np.stack([time_s[where], time_s[where + 1]], axis=1)
