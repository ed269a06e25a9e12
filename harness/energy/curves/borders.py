"""What a counter stood at when a window's border came, between two of its updates.

The border is where the load changes, so that the update it falls in is not split in proportion to
time, but by the power on either side: from the left, the last update before the border and the
power up to then; from the right, the first one after it and the power from then on. Each estimate
has its variance, and weighs inversely to it; what both disagree by counts as uncertain too: so a
load that does not change quite at the border, or a counter that lags behind, is not passed over.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from harness.energy.curves.knots import Floats, Knots

RECENT_S = 0.6
"""The power beside a border is taken over about this time."""
UNSTEADY = 0.02
"""How far power may wander within a window, as a share of it, where too few updates tell."""

_Estimates = tuple[Floats, Floats]
"""Energies (J) and their variances (J²)."""


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
    energy_j, variance = _pooled(left_j, left_var, right_j, right_var)
    return _between_knots(borders_s, energy_j, variance, knots)


def _pooled(left_j: Floats, left_var: Floats, right_j: Floats, right_var: Floats) -> _Estimates:
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
    # Half of the range is a standard deviation whose 95 % hold any value within it.
    range_j = np.where(is_bounded, highest, ends_j[-1] + mean_w * after_last_s) - lowest
    most = np.where(is_bounded | unknown, range_j**2 / 4, np.inf)
    # Borders in one update keep their order, too.
    rising_j = np.maximum.accumulate(np.clip(energy_j, lowest, highest))
    return rising_j, np.minimum(variance, most)


def _from_the_left(borders_s: Floats, knots: Knots, side: Literal["left", "right"]) -> _Estimates:
    """Estimates that use nothing from after a border; infinite variance where there is none.

    A knot right at a border is after it (`side` "left") or before it ("right").
    """
    energy_j = np.zeros(len(borders_s))
    variance = np.full(len(borders_s), np.inf)
    starts = np.searchsorted(knots.time_s, np.concatenate([[-np.inf], borders_s]), side)
    for number, (first, end) in enumerate(pairwise(starts)):
        before = number - 1 if number and np.isfinite(variance[number - 1]) else None
        points = [
            (knots.time_s[i], knots.energy_j[i], knots.half_s[i] ** 2 / 3, 0.0)
            for i in range(_recent(knots, first, end), end)
        ]
        if before is not None and len(points) < 2:
            points.insert(0, (borders_s[before], energy_j[before], 0.0, variance[before]))
        if points:
            energy_j[number], variance[number] = _carried_on(points, borders_s[number])
    return energy_j, variance


def _recent(knots: Knots, first: int, end: int) -> int:
    """The first knot of a window's last bit: half a second of it, and two knots, if there are."""
    if end - first <= 2:
        return first
    recent = int(np.searchsorted(knots.time_s, knots.time_s[end - 1] - RECENT_S))
    return int(np.clip(recent, first, end - 2))


Point = tuple[float, float, float, float]
"""Moment (s), energy (J), variance of the moment (s²), variance of the energy (J²)."""


def _carried_on(points: list[Point], border_s: float) -> tuple[float, float]:
    """The energy at a border if the power of the last points goes on to it, and its variance."""
    last_s, last_j, last_time_var, last_energy_var = points[-1]
    ahead_s = border_s - last_s
    first_s, first_j, first_time_var, first_energy_var = points[0]
    span_s = last_s - first_s
    if len(points) == 1 or span_s <= 0:
        return last_j, np.inf if ahead_s > 0 else last_energy_var
    power_w = (last_j - first_j) / span_s
    moments = first_time_var + last_time_var
    power_var = (power_w**2 * moments + first_energy_var + last_energy_var) / span_s**2
    power_var += _wander_var(points, power_w)
    variance = last_energy_var + power_w**2 * last_time_var + power_var * ahead_s**2
    return last_j + power_w * ahead_s, variance


def _wander_var(points: list[Point], power_w: float) -> float:
    """How much the power wanders from update to update, beyond what their moments explain."""
    if len(points) < 3:
        return float((UNSTEADY * power_w) ** 2)
    steps = [
        ((b[1] - a[1]) / (b[0] - a[0]), power_w**2 * (a[2] + b[2]) / (b[0] - a[0]) ** 2)
        for a, b in pairwise(points)
        if b[0] > a[0]
    ]
    powers = np.array([power for power, _ in steps])
    explained = float(np.mean([variance for _, variance in steps]))
    seen = float(np.var(powers, ddof=1)) if len(powers) > 1 else 0.0
    return max(seen - explained, (UNSTEADY * power_w) ** 2)
