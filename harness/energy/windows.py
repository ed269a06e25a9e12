"""From a trace and a window to joules, with their uncertainty. Pure functions.

The energy of a window is the difference of one cumulative curve at its two ends, so windows that
tile a span add up to the span by construction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.energy.meter import Sensor
from harness.energy.trace import Readings, Trace


@dataclass(frozen=True)
class Joules:
    """The energy of a window on some devices.

    Attributes:
        energy_j: What was drawn.
        gain_j: The part of the uncertainty (95 %) that is fixed for a device and the same in every
            window: it adds up over windows.
        border_j: The part from not knowing where between two readings a border lies.
        coverage: Share of the window between the first and the last reading, 0 to 1.
    """

    energy_j: float
    gain_j: float
    border_j: float
    coverage: float

    @property
    def uncertainty_j(self) -> float:
        """Both parts together."""
        return math.hypot(self.gain_j, self.border_j)


class EnergyCurve:
    """The cumulative energy of one device over time, from its best sensor."""

    def __init__(self, readings: Readings) -> None:
        self.sensor: Sensor = readings.sensor
        energy_j = _cumulative(readings)
        knots = _knots(readings)
        self._time_ns = readings.time_ns[knots]
        self._energy_j = energy_j[knots]

    def at(self, time_ns: int) -> float:
        """Joules from the first reading to `time_ns`, linear between readings, flat outside."""
        if not len(self._time_ns):
            return 0.0
        return float(np.interp(time_ns, self._time_ns, self._energy_j))

    def between(self, start_ns: int, end_ns: int) -> Joules:
        """The energy of one window."""
        energy_j = self.at(end_ns) - self.at(start_ns)
        border_j = math.hypot(self._border_j(start_ns), self._border_j(end_ns))
        return Joules(
            energy_j=energy_j,
            gain_j=abs(energy_j) * self.sensor.relative_uncertainty,
            border_j=max(border_j, self.sensor.resolution_j),
            coverage=self._coverage(start_ns, end_ns),
        )

    def _border_j(self, time_ns: int) -> float:
        """95 % half-width of a border's share of the interval it falls in: evenly likely in it."""
        index = int(np.searchsorted(self._time_ns, time_ns))
        if index == 0 or index == len(self._time_ns) or self._time_ns[index] == time_ns:
            return 0.0
        step_j = self._energy_j[index] - self._energy_j[index - 1]
        place = (time_ns - self._time_ns[index - 1]) / np.diff(self._time_ns)[index - 1]
        return float(0.95 * step_j * max(place, 1 - place))

    def _coverage(self, start_ns: int, end_ns: int) -> float:
        if not len(self._time_ns) or end_ns <= start_ns:
            return 0.0
        seen = min(end_ns, self._time_ns[-1]) - max(start_ns, self._time_ns[0])
        return float(np.clip(seen / (end_ns - start_ns), 0, 1))


def _cumulative(readings: Readings) -> NDArray[np.float64]:
    if not len(readings.value):
        return np.zeros(0)
    if readings.sensor.quantity == "energy":
        # A counter that falls was reset (driver reload): the step is unknown, never negative.
        steps = np.maximum(np.diff(readings.value), 0)
    else:
        seconds = np.diff(readings.time_ns) * 1e-9
        steps = seconds * (readings.value[1:] + readings.value[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(steps)])


def _knots(readings: Readings) -> NDArray[np.bool_]:
    """Which readings the curve goes through: not those of a counter that has not moved on yet.

    A counter is updated every 20 to 100 ms. Read again in between, it looks as if nothing were
    drawn, and then everything at once: the energy belongs to all the time since its last step.
    """
    knots = np.ones(len(readings.value), dtype=np.bool_)
    if readings.sensor.quantity == "energy":
        knots[1:-1] = np.diff(readings.value)[:-1] != 0
    return knots


def curves(trace: Trace) -> list[EnergyCurve]:
    """The curves that make up a run's energy: a device each (see `chosen`).

    A device that was found but never read makes a curve without coverage beside the others: its
    energy is missing from their total.
    """
    usable = [readings for readings in trace.readings if len(readings.value) >= 2]
    best = [usable[i] for i in chosen([readings.sensor for readings in usable])]
    silent: dict[str, Readings] = {}
    if any(readings.sensor.source != "estimated" for readings in best):
        heard = {readings.sensor.device for readings in best}
        silent = {
            readings.sensor.device: readings
            for readings in trace.readings
            if readings.sensor.source != "estimated" and readings.sensor.device not in heard
        }
    return [EnergyCurve(readings) for readings in [*best, *silent.values()]]


def chosen(sensors: Sequence[Sensor]) -> list[int]:
    """Which sensors make up the energy: one a device, and measured ones only if there is any.

    A device's energy counter is taken before its power readings. Estimates stand in only where no
    sensor measures anything, so that the two are never mixed.
    """
    best: dict[str, int] = {}
    for number, sensor in enumerate(sensors):
        if sensor.device not in best or sensor.quantity == "energy":
            best[sensor.device] = number
    measured = [number for number in best.values() if sensors[number].source != "estimated"]
    return measured or list(best.values())


def total(parts: Iterable[Joules]) -> Joules:
    """The sum over devices or windows.

    Gains are taken as fully dependent (they add), borders as independent (their squares add), and
    coverage is the worst of all.
    """
    found = list(parts)
    return Joules(
        energy_j=math.fsum(part.energy_j for part in found),
        gain_j=math.fsum(part.gain_j for part in found),
        border_j=math.sqrt(math.fsum(part.border_j**2 for part in found)),
        coverage=min((part.coverage for part in found), default=0.0),
    )
