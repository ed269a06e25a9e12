"""Sampled power, integrated: only readings that saw nothing but a window speak for it.

A reading is an average over some time before it, and up to one update old. Those whose time
reaches over a border are left out, and the window's own are carried on to its borders. What a
sensor does not look at between two samples may be anything (aliasing): it is stated, not hidden.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from harness.energy.curves.borders import UNSTEADY
from harness.energy.curves.counter import ABSURD, ABSURD_W
from harness.energy.curves.curve import (
    Curve,
    Floats,
    hidden_power_w,
    joined,
    nothing,
    unknown_power_w,
)
from harness.energy.meter import Sensor
from harness.energy.trace import Readings

SILENT_S = 1.0
"""The recorder leaves out equal readings for up to this long."""
SMOOTHED = 0.2
"""How far power may wander within a window, as a share of it, if readings are averaged over a long
time (our judgement: such a sensor cannot show it)."""
_PATIENCE = 3.0


def power_curve(readings: Readings, borders_s: Floats, period_s: float) -> Curve:
    """The cumulative energy of one power sensor.

    Args:
        readings: Its readings.
        borders_s: Where the load may change, rising.
        period_s: Time between readings that was asked for.
    """
    sensor = readings.sensor
    time_s, power_w, failed_s = _plausible(readings)
    if not len(time_s):
        return nothing()
    late_s = (sensor.update_s + sensor.window_s) / 2
    seen_s = time_s - late_s
    inside = borders_s[(borders_s > seen_s[0]) & (borders_s < time_s[-1])]
    last_s = max(seen_s[-1], inside[-1]) if len(inside) else seen_s[-1]
    ends = np.concatenate([[seen_s[0]], inside, [last_s]])
    gaps = _gaps(time_s, failed_s, period_s) - late_s
    blind = 1 - min(sensor.window_s / sensor.update_s, 1.0) if sensor.update_s else 0.0
    span = _Span(sensor, time_s, power_w, gaps, blind)
    return joined([span.window(a, b) for a, b in pairwise(ends) if b > a])


class _Span:
    """All readings of a sensor, and how to integrate a window of them."""

    def __init__(
        self, sensor: Sensor, time_s: Floats, power_w: Floats, gaps: Floats, blind: float
    ) -> None:
        self._sensor = sensor
        self._time_s = time_s
        self._power_w = power_w
        self._gaps = gaps
        self._blind = blind
        self._floor_w = float(power_w.min())
        self._ceiling_w = max(sensor.ceiling_w or 0.0, float(power_w.max()))

    def window(self, start_s: float, end_s: float) -> Curve:
        """One window's energy, from zero; nodes at its readings and both ends."""
        late_s = (self._sensor.update_s + self._sensor.window_s) / 2
        first = int(np.searchsorted(self._time_s, start_s + 2 * late_s))
        end = int(np.searchsorted(self._time_s, end_s, side="right"))
        clean = end > first
        if clean:
            own_s = np.clip(self._time_s[first:end] - late_s, start_s, end_s)
            own_w = self._power_w[first:end]
            nodes_s = np.concatenate([[start_s], own_s, [end_s]])
            nodes_w = np.concatenate([own_w[:1], own_w, own_w[-1:]])
        else:
            seen_s = self._time_s - late_s
            inner_s = seen_s[(seen_s > start_s) & (seen_s < end_s)]
            nodes_s = np.concatenate([[start_s], inner_s, [end_s]])
            nodes_w = np.interp(nodes_s, seen_s, self._power_w)
        return self._integrated(nodes_s, nodes_w, clean)

    def _integrated(self, time_s: Floats, power_w: Floats, clean: bool) -> Curve:
        apart_s = np.diff(time_s)
        steps_j = apart_s * (power_w[1:] + power_w[:-1]) / 2
        length_s = time_s[-1] - time_s[0]
        mean_w = float(steps_j.sum() / length_s)
        unknown_w = unknown_power_w(mean_w, self._floor_w, self._ceiling_w)
        hidden_w = hidden_power_w(mean_w, self._floor_w, self._ceiling_w)
        lost_s = _overlap(self._gaps, time_s)
        fresh = not self._sensor.update_s
        unresolved = not clean and not fresh
        gap_j = unknown_w * (apart_s if unresolved else lost_s)
        return Curve(
            time_s=time_s,
            energy_j=_cumulative(steps_j),
            border_var=np.zeros(len(time_s)),
            random_var=_cumulative(self._random_var(time_s, power_w, mean_w)),
            gap_j=_cumulative(gap_j),
            aliasing_j=_cumulative(self._unseen(power_w, length_s) * hidden_w * apart_s),
            seen_s=_cumulative(apart_s - lost_s),
        )

    def _unseen(self, power_w: Floats, length_s: float) -> float:
        """Share of the time for which the readings say nothing about the power.

        A sensor that looks at a part of the time sees a load in step with it as constant. If one
        reading differs from the next as much as the range of power allows, the load is not in
        step, and the samples speak for the rest; their scatter is in `_random_var`.
        """
        if not self._blind:
            return 0.0
        half_range_w = (self._power_w.max() - self._floor_w) / 2
        varies = self._flicker_w(power_w, length_s) / half_range_w if half_range_w else 0.0
        return self._blind * max(1 - varies, 0.0)

    def _flicker_w(self, power_w: Floats, length_s: float) -> float:
        """How much power varies from one update to the next, as a standard deviation.

        Slow changes are left out: they say nothing about what is drawn between two looks.
        """
        updates = max(length_s / self._sensor.update_s, 1.0)
        return float(np.sqrt((np.diff(power_w) ** 2).sum() / (2 * updates)))

    def _random_var(self, time_s: Floats, power_w: Floats, mean_w: float) -> Floats:
        """What varies, is carried on to the borders, or falls between samples."""
        sensor, apart_s = self._sensor, np.diff(time_s)
        length_s = time_s[-1] - time_s[0]
        smoothed = sensor.window_s > sensor.update_s > 0
        unsteady_w = (SMOOTHED if smoothed else UNSTEADY) * mean_w
        varying = max(_spread_w(time_s, power_w), unsteady_w) ** 2
        ends_j2 = varying * (apart_s[0] ** 2 + apart_s[-1] ** 2)
        if not smoothed:
            ends_j2 += 2 * self._within_window_var(mean_w)
        unseen_j2 = 0.0
        if self._blind:
            flicker_w = self._flicker_w(power_w, length_s)
            unseen_j2 = flicker_w**2 * sensor.update_s * self._blind * length_s
        jumps = (np.diff(power_w) * apart_s) ** 2 / 12
        variance: Floats = (ends_j2 + unseen_j2) / length_s * apart_s + jumps
        return variance

    def _within_window_var(self, mean_w: float) -> float:
        """Variance of what a border takes of a reading's window, in J².

        Of all loads that a sensor sees as constant, one that is either at the least or at the most
        power in step with it is uneven most: the energy up to a moment then lies evenly within
        this range, if no phase is likelier than another.
        """
        below_w, above_w = mean_w - self._floor_w, self._ceiling_w - mean_w
        if below_w <= 0 or above_w <= 0:
            return 0.0
        range_j = below_w * above_w / (below_w + above_w) * self._sensor.window_s
        return range_j**2 / 12


def _spread_w(time_s: Floats, power_w: Floats) -> float:
    """Standard deviation of the power over time."""
    apart_s = np.diff(time_s)
    length_s = apart_s.sum()
    mean_w = (apart_s * (power_w[1:] + power_w[:-1]) / 2).sum() / length_s
    squares = (apart_s * (power_w[1:] ** 2 + power_w[:-1] ** 2) / 2).sum() / length_s
    return float(np.sqrt(max(squares - mean_w**2, 0.0)))


def _plausible(readings: Readings) -> tuple[Floats, Floats, Floats]:
    """Moments, powers, and moments of failed readings; absurd powers count as failed."""
    ceiling_w = readings.sensor.ceiling_w
    most_w = ABSURD * ceiling_w if ceiling_w else ABSURD_W
    good = (readings.value >= 0) & (readings.value <= most_w)
    time_s = readings.time_s
    failed_s = np.sort(np.concatenate([readings.failed_ns * 1e-9, time_s[~good]]))
    return time_s[good], readings.value[good], failed_s


def _gaps(time_s: Floats, failed_s: Floats, period_s: float) -> Floats:
    """From and to where nothing usable was read, shape (gaps, 2)."""
    failures = np.diff(np.searchsorted(failed_s, time_s))
    is_gap = (failures > 0) | (np.diff(time_s) > SILENT_S + _PATIENCE * period_s)
    where = np.flatnonzero(is_gap)
    return np.stack([time_s[where], time_s[where + 1]], axis=1)


def _overlap(gaps: Floats, time_s: Floats) -> Floats:
    """How much of each interval between nodes lies in gaps, shape (nodes - 1,)."""
    if not len(gaps):
        return np.zeros(len(time_s) - 1)
    lengths = gaps[:, 1] - gaps[:, 0]
    edges_s = gaps.ravel()
    upto = np.repeat(np.cumsum(lengths), 2)
    upto[0::2] -= lengths
    return np.diff(np.interp(time_s, edges_s, upto))


def _cumulative(steps: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(steps)])
