"""Finds how often a sensor is updated, and when, from its readings. Pure functions.

An update happened between the last reading without it and the first one with it. That bracket may
be long, on a slow driver or a busy machine; but updates are evenly spaced, so that each narrows the
others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARP_NS = 5_000_000
"""An update is known sharply if it is bracketed by two readings no further apart ..."""
_SHARP_SHARE = 0.125
"""... or by this share of the time between two updates, up to ..."""
_MAX_SHARP_NS = 25_000_000
_CLEARLY = 0.1
"""A candidate that is longer by this share is no period."""
_PERIODS = 4
_LAGS = 8
"""Number of sharp updates on either side that narrow one."""
DRIFT = 1e-4
"""Minimum relative error of a measured update period."""


class Updates(NamedTuple):
    """Updates of a sensor that were seen sharply.

    Attributes:
        time_ns: The middle between the last reading before and the first after, shape (updates,).
        half_ns: Half of the time between those two, shape (updates,).
        first: Which reading was the first to show it, shape (updates,).
    """

    time_ns: NDArray[np.int64]
    half_ns: NDArray[np.int64]
    first: NDArray[np.int64]


def sharp_updates(
    time_ns: NDArray[np.int64], value: NDArray[np.float64], period_s: float = 0.0
) -> Updates:
    """The updates among readings of one sensor whose moment is known to a few milliseconds.

    Args:
        time_ns: Moments of the readings, rising.
        value: The readings.
        period_s: Time between two updates, if known: for a slow sensor the bracket may be longer.
    """
    sharp_ns = max(SHARP_NS, min(_SHARP_SHARE * period_s * 1e9, _MAX_SHARP_NS))
    return _within(time_ns, value, sharp_ns)


def _within(time_ns: NDArray[np.int64], value: NDArray[np.float64], apart_ns: float) -> Updates:
    apart = np.diff(time_ns)
    index = np.flatnonzero((np.diff(value) != 0) & (apart <= apart_ns)) + 1
    half_ns = (time_ns[index] - time_ns[index - 1]) // 2
    return Updates(time_ns[index] - half_ns, half_ns, index)


def update_period_s(time_ns: NDArray[np.int64], value: NDArray[np.float64]) -> float | None:
    """Time between two updates, from sharply seen ones; None if fewer than three were seen."""
    most_ns = at_most_s(time_ns, value) * 1e9
    found = _period_s(_within(time_ns, value, SHARP_NS).time_ns, most_ns)
    if found is None:
        blurred = _period_s(_within(time_ns, value, _MAX_SHARP_NS).time_ns, most_ns)
        # So blurred, updates that are closer to each other than this cannot be distinguished.
        if blurred is not None and blurred * 1e9 >= _MAX_SHARP_NS / _SHARP_SHARE / 2:
            found = blurred
    return found


def _period_s(updates_ns: NDArray[np.int64], most_ns: float) -> float | None:
    """Time between two of some updates, which is no longer than `most_ns`.

    The shortest gaps between updates are one period long, or a few where those in between were
    missed. In a long recording they are few, as a counter is watched once a second; one that was
    set back may show one or two that are too short. Longer gaps are several periods, and say more:
    from the shortest to the longest the period grows sharper.
    """
    gaps = np.sort(np.diff(updates_ns))
    if len(gaps) < 2:
        return None
    short = float(gaps[min(2, (len(gaps) - 1) // 2)])
    alike = float(np.median(gaps[gaps <= 1.5 * short]))
    period = max(_fitting(gaps, [alike, short], most_ns), default=alike)
    total, steps = 0.0, 0
    for gap in gaps.tolist():
        periods = round(gap / period)
        if periods and abs(gap - periods * period) < period / 4:
            total += gap
            steps += periods
            period = total / steps
    return period * 1e-9


def _fitting(gaps: NDArray[np.int64], some: Sequence[float], most_ns: float) -> list[float]:
    """Fractions of some gaps of which most gaps are multiples."""
    shares = [gap / parts for gap in some for parts in range(1, _PERIODS + 1)]
    possible = np.array([share for share in shares if share <= (1 + _CLEARLY) * most_ns])
    if not len(possible):
        return []
    near = gaps[gaps <= _PERIODS * some[0]]
    steps = np.maximum(np.round(near / possible[:, None]), 1)
    off_ns = np.abs(near - steps * possible[:, None])
    fits = (off_ns < np.minimum(2 * SHARP_NS, possible[:, None] / 4)).mean(axis=1)
    found: list[float] = possible[fits >= (1 - _CLEARLY) * fits.max()].tolist()
    return found


def at_most_s(time_ns: NDArray[np.int64], value: NDArray[np.float64]) -> float:
    """The longest update period that is possible; infinite if there were fewer than two updates.

    Some updates that follow each other span as many periods at least, so that these are no longer
    than from the last reading before the first to the first reading after the last. Not the very
    shortest counts: a counter that was set back shows an update or two too many.
    """
    index = np.flatnonzero(np.diff(value) != 0) + 1
    found_s = math.inf
    for periods in range(1, min(_PERIODS, len(index) - 1) + 1):
        spans = np.sort(time_ns[index[periods:]] - time_ns[index[:-periods] - 1])
        most = spans[min(2 * periods, (len(spans) - 1) // 2)]
        found_s = min(found_s, float(most) * 1e-9 / periods)
    return found_s


def narrowed(updates: Updates, period_s: float) -> tuple[Floats, Floats]:
    """The moments of sharp updates, each narrowed by those around it.

    Returns:
        Moments in s, and the error bound of each, shape (updates,).
    """
    moment_s, half_s = updates.time_ns * 1e-9, updates.half_ns * 1e-9
    from_s, until_s = moment_s - half_s, moment_s + half_s
    jitter_s = _jitter_s(from_s, until_s, period_s)
    least_s, most_s = from_s.copy(), until_s.copy()
    for lag in range(1, min(_LAGS, len(moment_s) - 1) + 1):
        steps = np.round((moment_s[lag:] - moment_s[:-lag]) / period_s)
        off_s = np.abs(moment_s[lag:] - moment_s[:-lag] - steps * period_s)
        apart_s = steps * period_s
        slack_s = np.where(off_s < period_s / 4, steps * DRIFT * period_s + jitter_s, np.inf)
        earlier, later = slice(None, -lag), slice(lag, None)
        for one, other, sign in ((earlier, later, -1.0), (later, earlier, 1.0)):
            least_s[one] = np.maximum(least_s[one], from_s[other] + sign * apart_s - slack_s)
            most_s[one] = np.minimum(most_s[one], until_s[other] + sign * apart_s + slack_s)
    agree = least_s <= most_s
    least_s, most_s = np.where(agree, least_s, from_s), np.where(agree, most_s, until_s)
    return (least_s + most_s) / 2, (most_s - least_s) / 2


def _jitter_s(from_s: Floats, until_s: Floats, period_s: float) -> float:
    """How much updates deviate from even spacing, where neighbours contradict each other."""
    if len(from_s) < 2:
        return 0.0
    middle_s = (from_s + until_s) / 2
    apart_s = np.round(np.diff(middle_s) / period_s) * period_s
    early_s = from_s[1:] - apart_s - until_s[:-1]
    late_s = from_s[:-1] - (until_s[1:] - apart_s)
    beyond_s = np.maximum(np.maximum(early_s, late_s), 0.0)
    same = np.abs(np.diff(middle_s) - apart_s) < period_s / 4
    return float(np.quantile(beyond_s[same], 0.95)) if same.any() else 0.0
