"""What a counter stood at when a window's border came, between two of its updates.

The border is where the load changes, so that the update it falls in is not split in proportion to
time, but by the power on either side: from the left, the last update before the border and the
power up to then; from the right, the first one after it and the power from then on. Each estimate
has its variance, and weighs inversely to it; what both disagree by counts as uncertain too: so a
load that does not change quite at the border, or a counter that lags behind, is not passed over.

The updates of an energy counter: when each happened, as well as can be known from readings.
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
class Knots:
    """Moments at which the counter's value is known.

    Attributes:
        time_s: Monotonic clock, shape (knots,), rising.
        energy_j: The counter from then on, shape (knots,).
        half_s: The moment is known to plus or minus this, evenly likely, shape (knots,).
        last_s: The counter was still read at this moment.
    """

    time_s: Floats
    energy_j: Floats
    half_s: Floats
    last_s: float

    def after_first(self) -> Knots:
        """All but the first."""
        return Knots(self.time_s[1:], self.energy_j[1:], self.half_s[1:], self.last_s)

    def reversed(self) -> Knots:
        """The same, seen backwards in time; energy still rises."""
        return Knots(
            -self.time_s[::-1], -self.energy_j[::-1], self.half_s[::-1], -float(self.time_s[0])
        )


def counter_knots(readings: Readings, update_s: float) -> Knots:
    """The knots of one stretch of readings in which the counter never falls.

    A counter read again before its next update looks as if nothing were drawn: only changes count.
    Where a change was not seen sharply, the rhythm of those that were tells when it happened.

    Args:
        readings: Of a counter.
        update_s: Time between two updates, as far as is known beforehand.
    """
    time_s, energy_j = readings.time_s, readings.value
    if update_s < FRESH_S:
        half_s = np.full(len(time_s), update_s / 2)
        return Knots(time_s - half_s, energy_j, half_s, float(time_s[-1]))
    # A short stretch may show none but updates that were watched a second apart.
    update_s = min(readings.update_period_s or update_s, update_s)
    changed = np.concatenate([[True], np.diff(energy_j) != 0])
    before_s = np.concatenate([[-np.inf], time_s[:-1]])[changed]
    until_s = time_s[changed]
    from_s = np.maximum(before_s, until_s - update_s)
    moment_s, half_s = (from_s + until_s) / 2, (until_s - from_s) / 2
    sharp = sharp_updates(readings.time_ns, energy_j, update_s)
    if len(sharp.time_ns):
        expected_s, off_s, sure = _expected(*narrowed(sharp, update_s), until_s, update_s)
        # The one before it is out of the question if it came before the last reading.
        sure |= expected_s - update_s < from_s - off_s
        better = sure & (expected_s > from_s - off_s) & (off_s < half_s)
        moment_s = np.where(better, np.clip(expected_s, from_s, until_s), moment_s)
        half_s = np.where(better, off_s, half_s)
        # Read just as an update was due, and not for a whole period before, it shows either that
        # one or the one before: half a period off in both cases, which is worse than no knot.
        either = ~sure
        if (~either).sum() < 2:
            either[[0, -1]] = False
        changed = np.flatnonzero(changed)[~either]
        moment_s, half_s = moment_s[~either], half_s[~either]
    return Knots(moment_s, energy_j[changed], half_s, float(time_s[-1]))


def _expected(
    sharp_s: Floats, sharp_off_s: Floats, until_s: Floats, update_s: float
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The last update that may have come by each moment, by the nearest of the sharp ones.

    Returns:
        When it came, how far off that may be, and whether it is sure to have come by then: else it
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
"""The power beside a border is taken over about this time."""
UNEQUAL = 2.3
"""Powers on two sides of a border differ by a factor of ten (e to this power) or less, more often
than not."""
UNSTEADY = 0.02
"""How far power may wander within a window, as a share of it, where too few updates tell."""

_Estimates = tuple[Floats, Floats]
"""Energies (J) and their variances (J²)."""
_Indices = NDArray[np.intp]


def energies_at(borders_s: Floats, knots: Knots) -> _Estimates:
    """The energy up to each border, and its variance.

    Args:
        borders_s: Rising, within the time that the knots span, shape (borders,).
        knots: At least one.

    Returns:
        J and J², shape (borders,).
    """
    left_j, left_var = _from_the_left(borders_s, knots, "left")
    right_j, right_var = _from_the_left(-borders_s[::-1], knots.reversed(), "right")
    right_j, right_var = -right_j[::-1], right_var[::-1]
    energy_j, variance = pooled(left_j, left_var, right_j, right_var)
    return _between_knots(borders_s, energy_j, variance, knots)


def pooled(left_j: Floats, left_var: Floats, right_j: Floats, right_var: Floats) -> _Estimates:
    """Both estimates as one, with its variance; one alone where the other is infinitely unsure.

    If they disagree, one of them is wrong, whatever its variance says, and either may be.
    """
    both = np.isfinite(left_var) & np.isfinite(right_var)
    with np.errstate(invalid="ignore"):
        apart_j = np.where(both, right_j - left_j, 0.0)
        # Where both are certain, they agree: no matter which is taken.
        on_right = np.nan_to_num(left_var / (left_var + right_var), nan=0.5)
        variance = np.where(both, on_right * right_var, np.minimum(left_var, right_var))
    variance += (on_right**2 + (1 - on_right) ** 2) / 2 * apart_j**2
    return np.where(np.isinf(left_var), right_j, left_j + on_right * apart_j), variance


def _between_knots(
    borders_s: Floats, energy_j: Floats, variance: Floats, knots: Knots
) -> _Estimates:
    """Energy never falls: a border lies between the counter's values before and after it.

    Where neither side tells anything (no update between two borders, or between the last one and
    the end) that is all that is known, and the mean power stands in for one that was not seen.
    """
    after = np.searchsorted(knots.time_s, borders_s)
    last = len(knots.energy_j) - 1
    is_bounded = after <= last
    after_last_s = max(knots.last_s - knots.time_s[-1], 0.0)
    mean_w = (knots.energy_j[-1] - knots.energy_j[0]) / (knots.time_s[-1] - knots.time_s[0])
    ends_s = np.append(knots.time_s, knots.time_s[-1] + after_last_s)
    ends_j = np.append(knots.energy_j, knots.energy_j[-1] + mean_w * after_last_s)
    lowest = knots.energy_j[np.maximum(after - 1, 0)]
    highest = np.where(is_bounded, ends_j[np.minimum(after, last)], np.inf)
    unknown = ~np.isfinite(variance)
    energy_j = np.where(unknown, np.interp(borders_s, ends_s, ends_j), energy_j)
    by_time_j, by_time_var = _split_by_time(borders_s, knots, after)
    # Between two borders that few updates part, neither side determines the power.
    tells_more = by_time_var < variance
    energy_j = np.where(tells_more, by_time_j, energy_j)
    variance = np.where(tells_more, by_time_var, variance)
    # Half of the range is a standard deviation whose 95 % hold any value within it.
    range_j = np.where(is_bounded, highest, ends_j[-1] + mean_w * after_last_s) - lowest
    most = np.where(is_bounded | unknown, range_j**2 / 4, np.inf)
    # Borders in one update keep their order, too.
    rising_j = np.maximum.accumulate(np.clip(energy_j, lowest, highest))
    return rising_j, np.minimum(variance, most)


def _split_by_time(borders_s: Floats, knots: Knots, after: _Indices) -> _Estimates:
    """The update that a border falls in, split in proportion to time; infinitely unsure outside.

    Close to either end of an update it is the better estimate, whatever the powers on its sides.
    """
    last = len(knots.time_s) - 1
    within = (after > 0) & (after <= last)
    until = np.clip(after, 1, max(last, 1)) if last else np.zeros_like(after)
    since = np.maximum(until - 1, 0)
    length_s = np.where(within, knots.time_s[until] - knots.time_s[since], 1.0)
    length_s = np.where(length_s > 0, length_s, 1.0)
    share = np.clip((borders_s - knots.time_s[since]) / length_s, 0.0, 1.0)
    step_j = knots.energy_j[until] - knots.energy_j[since]
    half_s = (1 - share) * knots.half_s[since], share * knots.half_s[until]
    variance = (step_j * share * (1 - share) * UNEQUAL) ** 2
    variance += (step_j / length_s) ** 2 * (half_s[0] ** 2 + half_s[1] ** 2) / 3
    return knots.energy_j[since] + share * step_j, np.where(within, variance, np.inf)


def _from_the_left(borders_s: Floats, knots: Knots, side: Literal["left", "right"]) -> _Estimates:
    """Estimates that use nothing from after a border; infinite variance where there is none.

    A knot right at a border is after it (`side` "left") or before it ("right").
    """
    energy_j = np.zeros(len(borders_s))
    variance = np.full(len(borders_s), np.inf)
    starts = np.searchsorted(knots.time_s, np.concatenate([[-np.inf], borders_s]), side)
    first, end = starts[:-1], starts[1:]
    told = end - first >= 2
    recent = _recent(knots, first[told], end[told])
    energy_j[told], variance[told] = _by_knots(borders_s[told], knots, recent, end[told] - 1)
    # The others lean on the border before them, one after the other.
    moments_s = borders_s.tolist()
    for number in np.flatnonzero(~told).tolist():
        known: list[_Point] = []
        if number and np.isfinite(variance[number - 1]):
            before_j, before_var = float(energy_j[number - 1]), float(variance[number - 1])
            known.append((moments_s[number - 1], before_j, 0.0, before_var))
        if end[number] > first[number]:
            known.append(_point(knots, int(first[number])))
        if known:
            energy_j[number], variance[number] = _by_points(known, moments_s[number])
    return energy_j, variance


def _recent(knots: Knots, first: _Indices, end: _Indices) -> _Indices:
    """The first knot of each window's last bit: half a second of it, and two knots at least."""
    recent = np.searchsorted(knots.time_s, knots.time_s[end - 1] - RECENT_S)
    return np.where(end - first <= 2, first, np.clip(recent, first, end - 2))


_Point = tuple[float, float, float, float]
"""Moment (s), energy (J), variance of the moment (s²), variance of the energy (J²)."""


def _point(knots: Knots, index: int) -> _Point:
    half_s = float(knots.half_s[index])
    return float(knots.time_s[index]), float(knots.energy_j[index]), half_s**2 / 3, 0.0


def _by_points(points: list[_Point], border_s: float) -> tuple[float, float]:
    """The energy at a border if the power between two points goes on to it, and its variance.

    One point alone tells the energy at its own moment only.
    """
    last_s, last_j, last_time_var, last_energy_var = points[-1]
    first_s, first_j, first_time_var, first_energy_var = points[0]
    ahead_s, span_s = border_s - last_s, last_s - first_s
    if span_s <= 0:
        return last_j, np.inf if ahead_s > 0 else last_energy_var
    power_w = (last_j - first_j) / span_s
    moments = first_time_var + last_time_var
    power_var = (power_w**2 * moments + first_energy_var + last_energy_var) / span_s**2
    power_var += (UNSTEADY * power_w) ** 2
    variance = last_energy_var + power_w**2 * last_time_var + power_var * ahead_s**2
    return last_j + power_w * ahead_s, variance


def _by_knots(borders_s: Floats, knots: Knots, first: _Indices, last: _Indices) -> _Estimates:
    """The same for many borders, each with the knots from `first` to `last`, which are certain."""
    time_var = knots.half_s**2 / 3
    ahead_s = borders_s - knots.time_s[last]
    span_s = knots.time_s[last] - knots.time_s[first]
    spans = span_s > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        power_w = (knots.energy_j[last] - knots.energy_j[first]) / span_s
        power_var = power_w**2 * (time_var[first] + time_var[last]) / span_s**2
        power_var += _wander_var(knots, first, last, power_w)
        energy_j = knots.energy_j[last] + power_w * ahead_s
        variance = power_w**2 * time_var[last] + power_var * ahead_s**2
    alone_var = np.where(ahead_s > 0, np.inf, 0.0)
    energy_j = np.where(spans, energy_j, knots.energy_j[last])
    return energy_j, np.where(spans, variance, alone_var)


def _wander_var(knots: Knots, first: _Indices, last: _Indices, power_w: Floats) -> Floats:
    """How much the power wanders from update to update, beyond what their moments explain."""
    count = last - first
    rows = np.repeat(np.arange(len(count)), count)
    steps = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count - first, count)
    apart_s = knots.time_s[steps + 1] - knots.time_s[steps]
    rows, steps, apart_s = (each[apart_s > 0] for each in (rows, steps, apart_s))
    powers_w = (knots.energy_j[steps + 1] - knots.energy_j[steps]) / apart_s
    moments = knots.half_s[steps] ** 2 / 3 + knots.half_s[steps + 1] ** 2 / 3

    def by_row(values: Floats, less: int = 0) -> Floats:
        sums = np.bincount(rows, values, minlength=len(count))
        return sums / np.maximum(np.bincount(rows, minlength=len(count)) - less, 1)

    explained = by_row(power_w[rows] ** 2 * moments / apart_s**2)
    seen = by_row((powers_w - by_row(powers_w)[rows]) ** 2, less=1)
    wander: Floats = np.maximum(seen - explained, (UNSTEADY * power_w) ** 2)
    return wander
