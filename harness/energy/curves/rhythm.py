"""How often a sensor is updated, found from its readings. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARPEST_NS = 5_000_000
"""An update is known sharply if it is bracketed by two readings no further apart."""


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


def sharp_updates(time_ns: NDArray[np.int64], value: NDArray[np.float64]) -> Updates:
    """The updates among readings of one sensor whose moment is known to a few milliseconds."""
    apart = np.diff(time_ns)
    index = np.flatnonzero((np.diff(value) != 0) & (apart <= SHARPEST_NS)) + 1
    half_ns = (time_ns[index] - time_ns[index - 1]) // 2
    return Updates(time_ns[index] - half_ns, half_ns, index)


def update_period_s(time_ns: NDArray[np.int64], value: NDArray[np.float64]) -> float | None:
    """Time between two updates, from sharply seen ones; None if fewer than three were seen.

    The shortest gaps between updates are one period long. In a long recording they are few, as a
    counter is watched once a second; one that was set back may show one or two that are too short.
    Longer gaps are several periods, and say more: from the shortest to the longest the period
    grows sharper.
    """
    gaps = np.sort(np.diff(sharp_updates(time_ns, value).time_ns))
    if len(gaps) < 2:
        return None
    short = float(gaps[min(2, (len(gaps) - 1) // 2)])
    period = float(np.median(gaps[gaps <= 1.5 * short]))
    total, steps = 0.0, 0
    for gap in gaps.tolist():
        periods = round(gap / period)
        if periods and abs(gap - periods * period) < period / 4:
            total += gap
            steps += periods
            period = total / steps
    return period * 1e-9
