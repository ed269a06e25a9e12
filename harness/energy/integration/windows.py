"""Computes the energy of windows from a trace, with its uncertainty. Pure functions.

Every device gets one curve: its cumulative energy over time. The energy of a window is the curve at
its end less the curve at its start, so that windows which tile a span add up to the span.

An **edge** is where a window begins or ends; there the load may change. An **update** is a moment
at which an energy counter showed a new value: counters move in steps, every 20 to 100 ms. An edge
usually falls between two updates, and the energy from one to the next has to be **split**: the part
up to the edge belongs to the window before it, the rest to the window after it.

    energy, J
      |                                   o u4     o  update: moment and value known
      |                                 .          x  edge: moment known, value wanted
      |                               .
      |                             .
      |                           o u3             slope of u3-u4: the power after the edge
      |                         .
      |             .  .  .  . x                   between u2 and u3 the counter stood still
      |  o  .  .  o            |
      |  u1       u2           |                   slope of u1-u2: the power before the edge
      +------------------------+-----------> time
              window 1         |  window 2

A split in proportion to time (a straight line from u2 to u3) would give window 1 energy of window
2. Instead the power before the edge is extrapolated from u2, the power after it back from u3. Each
is an estimate of the energy at x; they are pooled by their variances, and what they disagree by
counts as uncertainty.

1. `counter_updates` finds the updates: when each happened, to about 2 ms where the recorder read
   closely (`update_period.py` narrows the others), and `energies_at` splits at the edges
   (`window_edges.py`).
2. `stretches` leaves out time in which the counter was reset, stood still or leapt (`counter.py`).
   A counter slower than `SLOW_S` is also split by the shape of the power sensor beside it.
3. `SampledPower` integrates the readings of a power sensor: within a window only readings that saw
   nothing but it count (`sampled_power.py`). It fills in where a counter cannot be trusted, and is
   all there is on a device without a counter.
4. `device_curve` joins these. Where neither gave a reading, the mean power around stands in: that
   time counts as not observed, and is as uncertain as the device's range of power allows.
5. `chosen` selects the sensors that make up a run's energy, and `total` adds up devices.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.energy.cpu_time import OtherWork, by_curve, estimate_doubt_j, without_curve
from harness.energy.integration.counter import FROZEN_UPDATES, Stretch, stretches
from harness.energy.integration.curve import (
    GATHERED,
    Curve,
    Floats,
    Joules,
    joined,
    nothing,
    unknown_power_w,
)
from harness.energy.integration.sampled_power import SampledPower
from harness.energy.sensors.base import Owner, Sensor
from harness.energy.trace import Readings, Trace


class EnergyCurve:
    """The cumulative energy of one device over time, from its best sensor.

    Args:
        best: Readings of its best sensor, which gives the energy its source.
        filler: Readings of its power, for time in which a counter cannot be trusted.
        edges_ns: Moments at which the load may change: windows begin and end there.
        period_s: Time between readings that was asked for.
        absent_ns: From when to when the recorder did not run. What a counter counted meanwhile is
            in the energy, but it was not observed: that time is not covered.
        others: CPU time of other work meanwhile, which makes an estimate uncertain.
    """

    def __init__(
        self,
        best: Readings,
        filler: Readings | None = None,
        edges_ns: Iterable[int] = (),
        period_s: float = 0.0,
        absent_ns: Sequence[tuple[int, int]] = (),
        others: OtherWork | None = None,
    ) -> None:
        self._absent_ns = absent_ns
        self._others = others if best.sensor.thread_power_w else None
        self._raw = best
        self.sensor: Sensor = best.sensor
        best = by_curve(best)
        edges_s = np.unique(np.array(sorted(edges_ns), dtype=np.float64)) * 1e-9
        is_counter = best.sensor.quantity == "energy"
        self._curve = device_curve(
            best if is_counter else None,
            filler if is_counter else best,
            edges_s,
            period_s,
        )

    def at(self, time_ns: int) -> float:
        """Joules from the first reading to `time_ns`, flat outside the readings."""
        return self._curve.at(time_ns * 1e-9, self._curve.energy_j)

    def between(self, start_ns: int, end_ns: int) -> Joules:
        """The energy of one window. It is most certain if its ends are among the edges."""
        return self.windows([start_ns], [end_ns])[0]

    def windows(self, starts_ns: Sequence[int], ends_ns: Sequence[int]) -> list[Joules]:
        """The energy of many windows, from each start to each end."""
        starts_s, ends_s = (np.array(ns, dtype=np.float64) * 1e-9 for ns in (starts_ns, ends_ns))
        found = self._curve.between(starts_s, ends_s, self.sensor)
        if not self._absent_ns and self._others is None and self.sensor.power_curve is None:
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
        """What other work and the residual of a power curve add to an estimate's uncertainty."""
        curve = self.sensor.power_curve
        doubt_j = joules.energy_j * curve.residual if curve else 0.0
        if self._others is not None:
            own_s = self._cpu_s(end_ns) - self._cpu_s(start_ns)
            doubt_j += estimate_doubt_j(joules, own_s, self._others.between(start_ns, end_ns))
        return doubt_j

    def _cpu_s(self, time_ns: int) -> float:
        """Of an estimate, the CPU time of the run up to a moment."""
        value = (
            np.interp(time_ns, self._raw.time_ns, self._raw.value) if len(self._raw.value) else 0
        )
        return float(value) / (self.sensor.thread_power_w or math.inf)

    def _looked_at(self, start_ns: int, end_ns: int) -> float:
        """Share of a window in which the recorder ran."""
        away_ns = sum(
            max(min(end_ns, to_ns) - max(start_ns, from_ns), 0)
            for from_ns, to_ns in self._absent_ns
        )
        return 1 - away_ns / max(end_ns - start_ns, 1)


def curves(trace: Trace, edges_ns: Collection[int] = (), owner: Owner = "run") -> list[EnergyCurve]:
    """The curves that make up a run's energy, one per device (see `best_readings`).

    Args:
        trace: What was recorded.
        edges_ns: Where windows begin and end.
        owner: Which devices: those that are not the run's own are never added to it.
    """
    others = OtherWork(trace)
    return [
        EnergyCurve(
            readings,
            power_of(trace, readings.sensor.device),
            edges_ns,
            trace.period_s,
            trace.absent_ns,
            others,
        )
        for readings in best_readings(trace, owner)
    ]


def best_readings(trace: Trace, owner: Owner = "run") -> list[Readings]:
    """The readings that a run's energy is taken from, one sensor per device (see `chosen`).

    A device that was found but never read is included: its energy is missing from the total, and
    its curve has no coverage.
    """
    own = [n for n, each in enumerate(trace.readings) if each.sensor.owner == owner]
    usable = [n for n in own if len(trace.readings[n].value) >= 2]
    sensors = [trace.readings[n].sensor for n in usable]
    wrong = {*trace.falsified, *contradicted(trace)}
    falsified = {usable.index(n) for n in wrong if n in usable}
    best = [trace.readings[usable[i]] for i in chosen(sensors, falsified)]
    silent: dict[str, Readings] = {}
    if any(not readings.sensor.is_estimate for readings in best):
        heard = {sensor.device for sensor in sensors}
        silent = {
            readings.sensor.device: readings
            for readings in map(trace.readings.__getitem__, own)
            if not readings.sensor.is_estimate and readings.sensor.device not in heard
        }
    return [*best, *silent.values()]


def contradicted(trace: Trace) -> dict[int, float]:
    """By number, counters that show so much more or less than the power beside them: by what ratio.

    A polled meter's counter and power come from one chip, so that they differ by a factor of two
    only if the counter's unit is another one, as after an update of a plug's firmware.
    """
    found = {}
    for number, counter in enumerate(trace.readings):
        sensor = counter.sensor
        power = power_of(trace, sensor.device)
        if sensor.quantity != "energy" or not sensor.poll_s or power is None:
            continue
        steps_j, apart_s = np.diff(counter.value), np.diff(counter.time_s)
        # Only what was counted while power was read, too, can contradict it.
        after = np.searchsorted(power.time_s, counter.time_s[1:]).clip(max=len(power.time_s) - 1)
        off_s = np.abs(power.time_s[[after, np.maximum(after - 1, 0)]] - counter.time_s[1:])
        both = (apart_s < MAX_APART_S) & (off_s.min(axis=0) < MAX_APART_S)
        counted_j = float(steps_j[(steps_j > 0) & both].sum())
        apart_s = np.diff(power.time_s)
        means_w = (power.value[1:] + power.value[:-1]) / 2
        sampled_j = float((means_w * apart_s)[apart_s < MAX_APART_S].sum())
        most_j = max(counted_j, sampled_j)
        if abs(counted_j - sampled_j) > most_j / 2 + 2 * sensor.resolution_j:
            found[number] = counted_j / sampled_j if sampled_j else math.inf
    return found


def power_of(trace: Trace, device: str) -> Readings | None:
    """The most detailed power readings of a device: those averaged over the shortest time."""
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
    """The sensors that make up the energy: one per device, and no estimates if any is measured.

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
    measured = [number for number in best.values() if not sensors[number].is_estimate]
    if any(sensors[number].kind == "module" for number in measured):
        measured = [number for number in measured if sensors[number].kind not in ("cpu", "dram")]
    return measured or list(best.values())


def total(parts: Iterable[Joules]) -> Joules:
    """The sum over devices or windows.

    Gains, gaps and aliasing are taken as fully dependent (they add), edges as independent (their
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
        EnergyCurve(without_curve(each), None, {*starts_ns, *ends_ns}, trace.period_s)
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


MAX_APART_S = 10.0
"""Over a longer time without a reading, counter and power of a polled meter are not compared."""
_RANGE = 2.0
"""A device without a known limit may draw this multiple of the most that was read."""
_MIN_STEP_S = 0.01
"""Shorter steps of a curve say little about power."""
_SAME = 1e-6
"""Powers of a curve that differ less, as a share, do so by rounding alone."""


def device_curve(
    counter: Readings | None, power: Readings | None, edges_s: Floats, period_s: float
) -> Curve:
    """The cumulative energy of a device, from the first edge to the last if it was read at all.

    Args:
        counter: Readings of its energy counter, if it has one that can be trusted at all.
        power: Readings of its power, if it has any.
        edges_s: Where the load may change, rising.
        period_s: Time between readings that was asked for.
    """
    curve = _observed(counter, power, edges_s, period_s)
    if len(curve.time_s) < 2 or not len(edges_s):
        return curve
    ceilings_w = [each.sensor.ceiling_w for each in (counter, power) if each]
    missing = _Missing([curve], None, None, ceilings_w[0])
    before = missing.time(edges_s[0], _start(curve))
    return joined([*before, curve, *missing.time(_end(curve), edges_s[-1])])


def _observed(
    counter: Readings | None, power: Readings | None, edges_s: Floats, period_s: float
) -> Curve:
    """The same, from its first reading to its last."""
    sampled = SampledPower(power, edges_s, period_s) if power else None
    shape = sampled.curve if sampled else None
    trusted = [_counted(part) for part in stretches(counter, edges_s, shape)] if counter else []
    if counter is None or not trusted:
        return sampled.curve() if sampled else nothing()
    missing = _Missing(trusted, sampled, counter, counter.sensor.ceiling_w)
    parts = [trusted[0]]
    for before, after in pairwise(trusted):
        parts += [*missing.time(_end(before), _start(after)), after]
    if sampled and sampled.spans:
        start_s, end_s = sampled.spans
        parts = [*missing.time(start_s, _start(trusted[0])), *parts]
        parts += missing.time(_end(trusted[-1]), end_s)
    return joined(parts)


class _Missing:
    """Fills time in which a counter cannot be trusted.

    Args:
        trusted: The curves of the device that can be.
        filler: Its power, if there is any.
        counter: Its counter, if there is any.
        ceiling_w: The most that it may draw, if known.
    """

    def __init__(
        self,
        trusted: list[Curve],
        filler: SampledPower | None,
        counter: Readings | None,
        ceiling_w: float | None,
    ) -> None:
        self._trusted = trusted
        self._filler = filler
        self._counter = counter
        self._known_ceiling_w = ceiling_w

    def time(self, start_s: float, end_s: float) -> list[Curve]:
        """Curves that tile this time."""
        if end_s <= start_s:
            return []
        spans = self._filler.spans if self._filler else None
        if self._filler is None or spans is None or end_s <= spans[0] or start_s >= spans[1]:
            return [self._gap(start_s, end_s)]
        from_s, to_s = max(start_s, spans[0]), min(end_s, spans[1])
        filler = self._filler.curve(to_s)
        if self._all_stands_still(filler, from_s, to_s):
            return [self._gap(start_s, end_s)]
        return [
            *([self._gap(start_s, from_s)] if from_s > start_s else []),
            _cut(filler, from_s, to_s),
            *([self._gap(to_s, end_s)] if end_s > to_s else []),
        ]

    def _all_stands_still(self, filler: Curve, start_s: float, end_s: float) -> bool:
        """Whether power, too, is constant while the counter stands still.

        If all sensors of a board freeze together, its power reading is an old one.
        """
        if self._counter is None:
            return False
        later_s = (start_s + end_s) / 2  # the freeze may have begun after the counter broke
        first, end = np.searchsorted(self._counter.time_s, [later_s, end_s])
        update_s = self._counter.sensor.update_s
        if end <= first or end_s - later_s < (FROZEN_UPDATES - 1) * update_s:
            return False
        powers_w = _powers_w(_cut(filler, later_s, end_s))
        return bool(np.ptp(powers_w) <= _SAME * powers_w.max()) if len(powers_w) else False

    @cached_property
    def _range_w(self) -> tuple[float, float, float]:
        """The least, mean and most that the device may draw, from its curves and its limit."""
        trusted = self._trusted
        known = [*trusted, self._filler.curve()] if self._filler else trusted
        powers = np.concatenate([_powers_w(curve) for curve in known])
        lengths_s = sum(_end(part) - _start(part) for part in trusted)
        energy_j = sum(part.energy_j[-1] - part.energy_j[0] for part in trusted)
        mean_w = energy_j / lengths_s if lengths_s else 0.0
        seen_w = float(powers.max(initial=mean_w))
        ceiling_w = max(self._known_ceiling_w or _RANGE * seen_w, seen_w)
        return float(powers.min(initial=mean_w)), mean_w, ceiling_w

    def _gap(self, start_s: float, end_s: float) -> Curve:
        length_s = end_s - start_s
        floor_w, mean_w, ceiling_w = self._range_w
        unknown_w = unknown_power_w(mean_w, floor_w, ceiling_w)
        zeros = np.zeros(2)
        return Curve(
            time_s=np.array([start_s, end_s]),
            energy_j=np.array([0.0, mean_w * length_s]),
            edge_var=zeros,
            random_var=zeros,
            gap_j=np.array([0.0, unknown_w * length_s]),
            aliasing_j=zeros,
            looks=zeros,
            seen_s=zeros,
        )


def _counted(part: Stretch) -> Curve:
    zeros = np.zeros(len(part.time_s))
    # Where another curve continues, the uncertainty of the ends belongs to the window.
    random_var = np.full(len(part.time_s), part.edge_var[0])
    random_var[0] = 0
    random_var[-1] += part.edge_var[-1]
    return Curve(
        time_s=part.time_s,
        energy_j=part.energy_j,
        edge_var=part.edge_var,
        random_var=random_var,
        gap_j=zeros,
        aliasing_j=zeros,
        looks=zeros,
        seen_s=part.time_s,
    )


def _cut(curve: Curve, start_s: float, end_s: float) -> Curve:
    inner = (curve.time_s > start_s) & (curve.time_s < end_s)
    time_s = np.concatenate([[start_s], curve.time_s[inner], [end_s]])
    values = {name: np.interp(time_s, curve.time_s, getattr(curve, name)) for name in GATHERED}
    return Curve(time_s=time_s, edge_var=np.zeros(len(time_s)), **values)


def _powers_w(curve: Curve) -> Floats:
    apart_s, steps_j = np.diff(curve.time_s), np.diff(curve.energy_j)
    long_enough = apart_s > _MIN_STEP_S
    powers_w: Floats = steps_j[long_enough] / apart_s[long_enough]
    return powers_w


def _start(curve: Curve) -> float:
    return float(curve.time_s[0])


def _end(curve: Curve) -> float:
    return float(curve.time_s[-1])
