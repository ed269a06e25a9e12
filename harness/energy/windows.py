"""From a trace and windows to joules, with their uncertainty. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from harness.energy.cpu_time import OtherWork, estimate_doubt_j
from harness.energy.curves.curve import Joules
from harness.energy.curves.device import device_curve
from harness.energy.meter import Owner, Sensor
from harness.energy.trace import Readings, Trace


class EnergyCurve:
    """The cumulative energy of one device over time, from its best sensor.

    Args:
        best: Readings of the sensor that the figure is named after.
        filler: Readings of its power, for time in which a counter cannot be trusted.
        borders_ns: Moments at which the load may change: windows begin and end there.
        period_s: Time between readings that was asked for.
        absent_ns: From when to when the recorder did not run. What a counter counted meanwhile is
            in the energy, but it was not observed: that time is not covered.
        others: What else the machine did meanwhile, which casts doubt on an estimate.
    """

    def __init__(
        self,
        best: Readings,
        filler: Readings | None = None,
        borders_ns: Iterable[int] = (),
        period_s: float = 0.0,
        absent_ns: Sequence[tuple[int, int]] = (),
        others: OtherWork | None = None,
    ) -> None:
        self._absent_ns = absent_ns
        self._others = others if best.sensor.thread_power_w else None
        self.sensor: Sensor = best.sensor
        borders_s = np.unique(np.array(sorted(borders_ns), dtype=np.float64)) * 1e-9
        is_counter = best.sensor.quantity == "energy"
        self._curve = device_curve(
            best if is_counter else None,
            filler if is_counter else best,
            borders_s,
            period_s,
        )

    def at(self, time_ns: int) -> float:
        """Joules from the first reading to `time_ns`, flat outside the readings."""
        return self._curve.at(time_ns * 1e-9, self._curve.energy_j)

    def between(self, start_ns: int, end_ns: int) -> Joules:
        """The energy of one window. It is sharpest where its ends were named as borders."""
        return self.windows([start_ns], [end_ns])[0]

    def windows(self, starts_ns: Sequence[int], ends_ns: Sequence[int]) -> list[Joules]:
        """The energy of many windows, from each start to each end."""
        starts_s, ends_s = (np.array(ns, dtype=np.float64) * 1e-9 for ns in (starts_ns, ends_ns))
        sensor = self.sensor
        found = self._curve.between(
            starts_s, ends_s, sensor.relative_uncertainty, sensor.resolution_j
        )
        if not self._absent_ns and self._others is None:
            return found
        return [
            replace(
                joules,
                coverage=min(joules.coverage, self._looked_at(*window)),
                gap_j=joules.gap_j + self._doubt_j(joules, *window),
            )
            for joules, *window in zip(found, starts_ns, ends_ns, strict=True)
        ]

    def _doubt_j(self, joules: Joules, start_ns: int, end_ns: int) -> float:
        if self._others is None:
            return 0.0
        return estimate_doubt_j(self.sensor, joules, self._others.between(start_ns, end_ns))

    def _looked_at(self, start_ns: int, end_ns: int) -> float:
        """Share of a window in which the recorder ran."""
        away_ns = sum(
            max(min(end_ns, to_ns) - max(start_ns, from_ns), 0)
            for from_ns, to_ns in self._absent_ns
        )
        return 1 - away_ns / max(end_ns - start_ns, 1)


def curves(
    trace: Trace, borders_ns: Collection[int] = (), owner: Owner = "run"
) -> list[EnergyCurve]:
    """The curves that make up a run's energy: a device each (see `best_readings`).

    Args:
        trace: What was recorded.
        borders_ns: Where windows begin and end.
        owner: Whose devices; what is not the run's own is never added to it.
    """
    others = OtherWork(trace)
    return [
        EnergyCurve(
            readings,
            power_of(trace, readings.sensor.device),
            borders_ns,
            trace.period_s,
            trace.absent_ns,
            others,
        )
        for readings in best_readings(trace, owner)
    ]


def best_readings(trace: Trace, owner: Owner = "run") -> list[Readings]:
    """The readings of the sensors that a run's energy is taken from: a device each (see `chosen`).

    A device that was found but never read is there, too: its energy is missing from the total, and
    its curve has no coverage.
    """
    own = [n for n, each in enumerate(trace.readings) if each.sensor.owner == owner]
    usable = [n for n in own if len(trace.readings[n].value) >= 2]
    sensors = [trace.readings[n].sensor for n in usable]
    falsified = {usable.index(n) for n in trace.falsified if n in usable}
    best = [trace.readings[usable[i]] for i in chosen(sensors, falsified)]
    silent: dict[str, Readings] = {}
    if any(readings.sensor.source != "estimated" for readings in best):
        heard = {sensor.device for sensor in sensors}
        silent = {
            readings.sensor.device: readings
            for readings in map(trace.readings.__getitem__, own)
            if readings.sensor.source != "estimated" and readings.sensor.device not in heard
        }
    return [*best, *silent.values()]


def power_of(trace: Trace, device: str) -> Readings | None:
    """The power readings that say most about a device: those averaged over the shortest time."""
    found = [
        readings
        for readings in trace.readings
        if readings.sensor.device == device
        and readings.sensor.quantity == "power"
        and readings.sensor.part == "device"
        and len(readings.value) >= 2
    ]
    return min(found, key=lambda readings: readings.sensor.window_s, default=None)


def chosen(sensors: Sequence[Sensor], falsified: Collection[int] = ()) -> list[int]:
    """Which sensors make up the energy: one a device, and measured ones only if there is any.

    A device's energy counter is taken before its power readings, unless reading it falsifies it;
    power averaged over a short time before power averaged over a long one. Estimates stand in only
    where no sensor measures anything, so that the two are never mixed. A module's energy holds its
    CPU's and memory's, which are not added to it.
    """

    def rank(number: int) -> tuple[bool, bool, float]:
        sensor = sensors[number]
        return number in falsified, sensor.quantity == "power", sensor.window_s

    best: dict[str, int] = {}
    for number, sensor in enumerate(sensors):
        if sensor.part != "device":
            continue
        if sensor.device not in best or rank(number) < rank(best[sensor.device]):
            best[sensor.device] = number
    measured = [number for number in best.values() if sensors[number].source != "estimated"]
    if any(sensors[number].kind == "module" for number in measured):
        measured = [number for number in measured if sensors[number].kind not in ("cpu", "dram")]
    return measured or list(best.values())


def total(parts: Iterable[Joules]) -> Joules:
    """The sum over devices or windows.

    Gains, gaps and aliasing are taken as fully dependent (they add), borders as independent (their
    squares add), and coverage is the worst of all.
    """
    found = list(parts)
    if len(found) == 1:
        return found[0]
    return Joules(
        energy_j=math.fsum(part.energy_j for part in found),
        gain_j=math.fsum(part.gain_j for part in found),
        border_j=math.sqrt(math.fsum(part.border_j**2 for part in found)),
        gap_j=math.fsum(part.gap_j for part in found),
        aliasing_j=math.fsum(part.aliasing_j for part in found),
        coverage=min((part.coverage for part in found), default=0.0),
    )


def threads_in_use(
    trace: Trace, starts_ns: Sequence[int], ends_ns: Sequence[int]
) -> list[float] | None:
    """CPU time over wall time of each window; None where it was not recorded."""
    found = [
        EnergyCurve(each, None, {*starts_ns, *ends_ns}, trace.period_s)
        for each in trace.readings
        if each.sensor.thread_power_w and len(each.value) > 1
    ]
    if not found:
        return None
    used = np.zeros(len(starts_ns))
    for curve in found:
        drawn_j = [joules.energy_j for joules in curve.windows(starts_ns, ends_ns)]
        used += np.array(drawn_j) / (curve.sensor.thread_power_w or math.inf)
    lengths_s = (np.array(ends_ns) - np.array(starts_ns)) * 1e-9
    return [float(each) for each in used / np.maximum(lengths_s, 1e-9)]
