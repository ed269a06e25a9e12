"""Finds a counter's updates, and its value at window edges, which fall between two of them.

The edge is where the load changes, so the update it falls in is not split in proportion to time,
but by the power on either side: from the left, the last update before the edge and the power up to
it; from the right, the first one after it and the power from then on (drawing in `windows.py`).
Each estimate is weighted by its inverse variance. What both disagree by counts as uncertainty, so
that a load that does not change exactly at the edge, or a counter that lags behind, is covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.update_period import DRIFT, narrowed, sharp_updates
from harness.energy.sensors.base import FRESH_S
from harness.energy.trace import Readings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CounterUpdates:
    """The updates of a counter: moments at which its value is known.

    Attributes:
        time_s: Monotonic clock, shape (updates,), rising.
        energy_j: The counter from then on, shape (updates,).
        half_s: The moment is uniform within plus or minus this, shape (updates,).
        last_s: Moment of the last reading.
    """

    time_s: Floats
    energy_j: Floats
    half_s: Floats
    last_s: float

    def after_first(self) -> CounterUpdates:
        """All but the first."""
        return CounterUpdates(self.time_s[1:], self.energy_j[1:], self.half_s[1:], self.last_s)

    def reversed(self) -> CounterUpdates:
        """The same, seen backwards in time; energy still rises."""
        return CounterUpdates(
            -self.time_s[::-1], -self.energy_j[::-1], self.half_s[::-1], -float(self.time_s[0])
        )


def counter_updates(readings: Readings, update_s: float) -> CounterUpdates:
    """The updates in one stretch of readings in which the counter never falls.

    A counter read again before its next update looks as if nothing were drawn: only changes count.
    The moment of a change that was not bracketed closely follows from the period of those that
    were.

    Args:
        readings: Of a counter.
        update_s: Time between two updates, as known beforehand.
    """
    time_s, energy_j = readings.time_s, readings.value
    if update_s < FRESH_S:
        half_s = np.full(len(time_s), update_s / 2)
        return CounterUpdates(time_s - half_s, energy_j, half_s, float(time_s[-1]))
    # A short stretch may have only updates that were watched a second apart.
    update_s = min(readings.update_period_s or update_s, update_s)
    changed = np.concatenate([[True], np.diff(energy_j) != 0])
    before_s = np.concatenate([[-np.inf], time_s[:-1]])[changed]
    until_s = time_s[changed]
    from_s = np.maximum(before_s, until_s - update_s)
    moment_s, half_s = (from_s + until_s) / 2, (until_s - from_s) / 2
    sharp = sharp_updates(readings.time_ns, energy_j, update_s)
    if len(sharp.time_ns):
        expected_s, off_s, sure = _expected(*narrowed(sharp, update_s), until_s, update_s)
        # The one before it is excluded if it came before the last reading.
        sure |= expected_s - update_s < from_s - off_s
        better = sure & (expected_s > from_s - off_s) & (off_s < half_s)
        moment_s = np.where(better, np.clip(expected_s, from_s, until_s), moment_s)
        half_s = np.where(better, off_s, half_s)
        # Read just as an update was due, and not for a whole period before, it shows either that
        # one or the one before: half a period off in both cases, which is worse than none.
        either = ~sure
        if (~either).sum() < 2:
            either[[0, -1]] = False
        changed = np.flatnonzero(changed)[~either]
        moment_s, half_s = moment_s[~either], half_s[~either]
    return CounterUpdates(moment_s, energy_j[changed], half_s, float(time_s[-1]))


def _expected(
    sharp_s: Floats, sharp_off_s: Floats, until_s: Floats, update_s: float
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The last update that may have come by each moment, from the nearest sharp one.

    Returns:
        Its moment, the error bound of that, and whether it is certain to have come by then: else it
        may be the one before.
    """
    right = np.clip(np.searchsorted(sharp_s, until_s), 0, len(sharp_s) - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(until_s - sharp_s[left]) < np.abs(until_s - sharp_s[right])
    near = np.where(nearer_left, left, right)
    gaps = np.diff(sharp_s)
    single = gaps[np.abs(gaps - update_s) < update_s / 2]
    spread_s = float(np.std(single)) / np.sqrt(len(single)) if len(single) > 1 else 0.0
    drift_s = max(spread_s, DRIFT * update_s)
    away = (until_s - sharp_s[near]) / update_s
    off_s = sharp_off_s[near] + np.floor(np.abs(away)) * drift_s
    steps = np.floor(away + off_s / update_s)
    # A sharp one that was seen after the moment itself had not come by then.
    seen_later = (steps == 0) & (away < 0)
    steps -= seen_later
    expected_s = sharp_s[near] + steps * update_s
    return expected_s, off_s, seen_later | (expected_s <= until_s - off_s)


RECENT_S = 0.6
"""The power beside an edge is taken over about this time."""
UNEQUAL = 2.3
"""Powers on two sides of an edge differ by a factor of ten (e to this power) or less, more often
than not."""
UNSTEADY = 0.02
"""Assumed variation of power within a window, as a share of it, where updates are too few to show
it."""

_Estimates = tuple[Floats, Floats]
"""Energies (J) and their variances (J²)."""
_Indices = NDArray[np.intp]


def energies_at(edges_s: Floats, updates: CounterUpdates) -> _Estimates:
    """The energy up to each edge, and its variance.

    Args:
        edges_s: Rising, within the time that the updates span, shape (edges,).
        updates: At least one.

    Returns:
        J and J², shape (edges,).
    """
    left_j, left_var = _from_the_left(edges_s, updates, "left")
    right_j, right_var = _from_the_left(-edges_s[::-1], updates.reversed(), "right")
    right_j, right_var = -right_j[::-1], right_var[::-1]
    energy_j, variance = pooled(left_j, left_var, right_j, right_var)
    return _bounded(edges_s, energy_j, variance, updates)


def pooled(left_j: Floats, left_var: Floats, right_j: Floats, right_var: Floats) -> _Estimates:
    """Pool two estimates by their variances; one alone where the other's is infinite.

    If they disagree, either may be wrong, whatever its variance: that adds to the variance.
    """
    both = np.isfinite(left_var) & np.isfinite(right_var)
    with np.errstate(invalid="ignore"):
        apart_j = np.where(both, right_j - left_j, 0.0)
        # Where both are certain, they agree: either will do.
        on_right = np.nan_to_num(left_var / (left_var + right_var), nan=0.5)
        variance = np.where(both, on_right * right_var, np.minimum(left_var, right_var))
    variance += (on_right**2 + (1 - on_right) ** 2) / 2 * apart_j**2
    return np.where(np.isinf(left_var), right_j, left_j + on_right * apart_j), variance


def _bounded(
    edges_s: Floats, energy_j: Floats, variance: Floats, updates: CounterUpdates
) -> _Estimates:
    """Bound the energy at edges by the counter's values before and after: energy never falls.

    Where neither side has an estimate (no update between two edges, or between the last one and
    the end) that is all that is known, and the mean power stands in.
    """
    after = np.searchsorted(updates.time_s, edges_s)
    last = len(updates.energy_j) - 1
    is_bounded = after <= last
    after_last_s = max(updates.last_s - updates.time_s[-1], 0.0)
    mean_w = (updates.energy_j[-1] - updates.energy_j[0]) / (updates.time_s[-1] - updates.time_s[0])
    ends_s = np.append(updates.time_s, updates.time_s[-1] + after_last_s)
    ends_j = np.append(updates.energy_j, updates.energy_j[-1] + mean_w * after_last_s)
    lowest = updates.energy_j[np.maximum(after - 1, 0)]
    highest = np.where(is_bounded, ends_j[np.minimum(after, last)], np.inf)
    unknown = ~np.isfinite(variance)
    energy_j = np.where(unknown, np.interp(edges_s, ends_s, ends_j), energy_j)
    by_time_j, by_time_var = _split_by_time(edges_s, updates, after)
    # Between two edges with few updates in between, neither side determines the power.
    is_better = by_time_var < variance
    energy_j = np.where(is_better, by_time_j, energy_j)
    variance = np.where(is_better, by_time_var, variance)
    # Half of the range is a standard deviation whose 95 % hold any value within it.
    range_j = np.where(is_bounded, highest, ends_j[-1] + mean_w * after_last_s) - lowest
    most = np.where(is_bounded | unknown, range_j**2 / 4, np.inf)
    # Edges in one update keep their order, too.
    rising_j = np.maximum.accumulate(np.clip(energy_j, lowest, highest))
    return rising_j, np.minimum(variance, most)


def _split_by_time(edges_s: Floats, updates: CounterUpdates, after: _Indices) -> _Estimates:
    """The update that an edge falls in, split in proportion to time; infinite variance outside.

    Close to either end of an update it is the better estimate, whatever the power on either side.
    """
    last = len(updates.time_s) - 1
    within = (after > 0) & (after <= last)
    until = np.clip(after, 1, max(last, 1)) if last else np.zeros_like(after)
    since = np.maximum(until - 1, 0)
    length_s = np.where(within, updates.time_s[until] - updates.time_s[since], 1.0)
    length_s = np.where(length_s > 0, length_s, 1.0)
    share = np.clip((edges_s - updates.time_s[since]) / length_s, 0.0, 1.0)
    step_j = updates.energy_j[until] - updates.energy_j[since]
    half_s = (1 - share) * updates.half_s[since], share * updates.half_s[until]
    variance = (step_j * share * (1 - share) * UNEQUAL) ** 2
    variance += (step_j / length_s) ** 2 * (half_s[0] ** 2 + half_s[1] ** 2) / 3
    return updates.energy_j[since] + share * step_j, np.where(within, variance, np.inf)


def _from_the_left(
    edges_s: Floats, updates: CounterUpdates, side: Literal["left", "right"]
) -> _Estimates:
    """Estimates that use nothing from after an edge; infinite variance where there is none.

    An update right at an edge is after it (`side` "left") or before it ("right").
    """
    energy_j = np.zeros(len(edges_s))
    variance = np.full(len(edges_s), np.inf)
    starts = np.searchsorted(updates.time_s, np.concatenate([[-np.inf], edges_s]), side)
    first, end = starts[:-1], starts[1:]
    enough = end - first >= 2
    recent = _recent(updates, first[enough], end[enough])
    last = end[enough] - 1
    energy_j[enough], variance[enough] = _extrapolated(edges_s[enough], updates, recent, last)
    # The others are extrapolated from the edge before them, one after the other.
    moments_s = edges_s.tolist()
    for number in np.flatnonzero(~enough).tolist():
        known: list[_Point] = []
        if number and np.isfinite(variance[number - 1]):
            before_j, before_var = float(energy_j[number - 1]), float(variance[number - 1])
            known.append((moments_s[number - 1], before_j, 0.0, before_var))
        if end[number] > first[number]:
            known.append(_point(updates, int(first[number])))
        if known:
            energy_j[number], variance[number] = _extrapolated_one(known, moments_s[number])
    return energy_j, variance


def _recent(updates: CounterUpdates, first: _Indices, end: _Indices) -> _Indices:
    """The first update of each window's last half second, or the last but one of the window."""
    recent = np.searchsorted(updates.time_s, updates.time_s[end - 1] - RECENT_S)
    return np.where(end - first <= 2, first, np.clip(recent, first, end - 2))


_Point = tuple[float, float, float, float]
"""Moment (s), energy (J), variance of the moment (s²), variance of the energy (J²)."""


def _point(updates: CounterUpdates, index: int) -> _Point:
    half_s = float(updates.half_s[index])
    return float(updates.time_s[index]), float(updates.energy_j[index]), half_s**2 / 3, 0.0


def _extrapolated_one(points: list[_Point], edge_s: float) -> tuple[float, float]:
    """The energy at an edge, extrapolated with the power between two points, and its variance.

    One point alone gives the energy at its own moment only.
    """
    last_s, last_j, last_time_var, last_energy_var = points[-1]
    first_s, first_j, first_time_var, first_energy_var = points[0]
    ahead_s, span_s = edge_s - last_s, last_s - first_s
    if span_s <= 0:
        return last_j, np.inf if ahead_s > 0 else last_energy_var
    power_w = (last_j - first_j) / span_s
    moments = first_time_var + last_time_var
    power_var = (power_w**2 * moments + first_energy_var + last_energy_var) / span_s**2
    power_var += (UNSTEADY * power_w) ** 2
    variance = last_energy_var + power_w**2 * last_time_var + power_var * ahead_s**2
    return last_j + power_w * ahead_s, variance


def _extrapolated(
    edges_s: Floats, updates: CounterUpdates, first: _Indices, last: _Indices
) -> _Estimates:
    """The same for many edges, each with the updates from `first` to `last`, which are certain."""
    time_var = updates.half_s**2 / 3
    ahead_s = edges_s - updates.time_s[last]
    span_s = updates.time_s[last] - updates.time_s[first]
    spans = span_s > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        power_w = (updates.energy_j[last] - updates.energy_j[first]) / span_s
        power_var = power_w**2 * (time_var[first] + time_var[last]) / span_s**2
        power_var += _wander_var(updates, first, last, power_w)
        energy_j = updates.energy_j[last] + power_w * ahead_s
        variance = power_w**2 * time_var[last] + power_var * ahead_s**2
    alone_var = np.where(ahead_s > 0, np.inf, 0.0)
    energy_j = np.where(spans, energy_j, updates.energy_j[last])
    return energy_j, np.where(spans, variance, alone_var)


def _wander_var(
    updates: CounterUpdates, first: _Indices, last: _Indices, power_w: Floats
) -> Floats:
    """Variance of the power from update to update, beyond what their moments explain."""
    count = last - first
    rows = np.repeat(np.arange(len(count)), count)
    steps = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count - first, count)
    apart_s = updates.time_s[steps + 1] - updates.time_s[steps]
    rows, steps, apart_s = (each[apart_s > 0] for each in (rows, steps, apart_s))
    powers_w = (updates.energy_j[steps + 1] - updates.energy_j[steps]) / apart_s
    moments = updates.half_s[steps] ** 2 / 3 + updates.half_s[steps + 1] ** 2 / 3

    def by_row(values: Floats, less: int = 0) -> Floats:
        sums = np.bincount(rows, values, minlength=len(count))
        return sums / np.maximum(np.bincount(rows, minlength=len(count)) - less, 1)

    explained = by_row(power_w[rows] ** 2 * moments / apart_s**2)
    seen = by_row((powers_w - by_row(powers_w)[rows]) ** 2, less=1)
    wander: Floats = np.maximum(seen - explained, (UNSTEADY * power_w) ** 2)
    return wander
