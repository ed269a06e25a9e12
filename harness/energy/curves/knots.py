"""The updates of an energy counter: when each happened, as well as can be known from readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.energy.curves.rhythm import DRIFT, narrowed, sharp_updates
from harness.energy.meter import FRESH_S
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
