"""Over how long a power sensor averages, found from its answer to a load of known timing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.energy.curves.rhythm import sharp_updates

Floats = NDArray[np.float64]

CANDIDATES_S = (0.0, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Windows that sensors are known to average over, and what lies around them."""
_LAGS_S = (0.0, 0.01, 0.02, 0.03, 0.05)
"""How late an update may come after the time it speaks of."""
_CLEARLY = 0.9
"""A window whose readings explain at least this share of the variance is believed."""
_MIN_UPDATES = 8


def averaging_window_s(
    time_ns: NDArray[np.int64], power_w: Floats, switches_ns: Sequence[int]
) -> float | None:
    """The window that explains a power sensor's updates best.

    While the load is switched on and off, an update shows the share of its window in which the load
    was on: the right window is the one for which power is a straight line over that share.

    Args:
        time_ns: Moments of readings a few milliseconds apart, rising.
        power_w: The readings.
        switches_ns: When the load went on, off, on, ...; rising.

    Returns:
        Seconds; None if the readings do not follow the load, or there are too few.
    """
    updates = sharp_updates(time_ns, power_w)
    switches_s: Floats = np.array([moment * 1e-9 for moment in switches_ns])
    at_s: Floats = updates.time_ns.astype(np.float64) * 1e-9
    # What was drawn before the first switch is not known.
    known = at_s > (switches_s[0] + max(CANDIDATES_S) if len(switches_s) > 1 else np.inf)
    if known.sum() < _MIN_UPDATES:
        return None
    at_s, shown_w = at_s[known], power_w[updates.first][known]
    on_s = _time_on(switches_s)
    explained = {
        window_s: max(_explained(on_s, at_s - lag_s, window_s, shown_w) for lag_s in _LAGS_S)
        for window_s in CANDIDATES_S
    }
    best = max(explained, key=lambda window_s: explained[window_s])
    return best if explained[best] >= _CLEARLY else None


def _time_on(switches_s: Floats) -> tuple[Floats, Floats]:
    """Knots of the time that the load has been on, as a function of time."""
    on_s = np.zeros(len(switches_s))
    lengths = np.diff(switches_s)
    lengths[1::2] = 0
    on_s[1:] = np.cumsum(lengths)
    return switches_s, on_s


def _explained(on: tuple[Floats, Floats], end_s: Floats, window_s: float, shown_w: Floats) -> float:
    """Share of the variance of `shown_w` that the load's share of each window explains."""
    width_s = max(window_s, 1e-6)
    share = (np.interp(end_s, *on) - np.interp(end_s - width_s, *on)) / width_s
    if np.std(share) == 0 or np.std(shown_w) == 0:
        return 0.0
    return float(np.corrcoef(share, shown_w)[0, 1] ** 2)
