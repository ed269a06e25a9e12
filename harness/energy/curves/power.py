"""Sampled power, integrated: only readings that saw nothing but a window speak for it.

A reading is an average over some time before it, and up to one update old. Those whose time
reaches over a border are left out, and the window's own are carried on to its borders. What a
sensor does not look at between two samples may be anything (aliasing): it is stated, not hidden.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.energy.curves.counter import max_power_w
from harness.energy.curves.curve import Curve, Floats, joined
from harness.energy.curves.sampled import Samples
from harness.energy.trace import Readings

SILENT_S = 1.0
"""The recorder leaves out equal readings for up to this long."""
_MAX_PERIODS = 3.0


class SampledPower:
    """The cumulative energy of one power sensor, worked out as far as it is asked for.

    A counter needs little of the power beside it, and windows do not depend on later ones.

    Args:
        readings: Its readings.
        borders_s: Where the load may change, rising.
        period_s: Time between readings that was asked for.
    """

    def __init__(self, readings: Readings, borders_s: Floats, period_s: float) -> None:
        time_s, power_w, failed_s = _heard(readings)
        self._ends_s = np.zeros(0)
        self._done: list[Curve] = []
        self._begun = 0
        if len(time_s):
            sensor = readings.sensor
            self._samples = Samples(sensor, time_s, power_w, _gaps(time_s, failed_s, period_s))
            first_s, last_s = time_s[[0, -1]] - self._samples.late_s
            inside = borders_s[(borders_s > first_s) & (borders_s < time_s[-1])]
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
    """Which readings of power a device can draw, shape (readings,)."""
    most_w = max_power_w(readings.sensor)
    good: NDArray[np.bool_] = (readings.value >= 0) & (readings.value <= most_w)
    return good


def _heard(readings: Readings) -> tuple[Floats, Floats, Floats]:
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
