"""Finds the stretches of an energy counter that can be trusted, and splits them at window edges.

A counter that falls was reset (driver reload, GPU reset); one that stands still is frozen, since
every card draws power; one that leaps by more than the card can draw is wrong. In between it is
trusted, however long it was not read: what it counted meanwhile is in its next reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.curve import Curve, edge_resolution_j
from harness.energy.integration.update_period import at_most_s
from harness.energy.integration.window_edges import (
    UNSTEADY,
    CounterUpdates,
    Floats,
    counter_updates,
    energies_at,
    pooled,
)
from harness.energy.sensors.base import FRESH_S, SLOW_S, Sensor
from harness.energy.trace import Readings

FROZEN_UPDATES = 3
"""A slow counter that is read for this many updates without a new value is frozen. The recorder
reads on for longer than that at the end."""
UNSEEN_S = 5.0
"""The same, as a time, for one that moved once or never, so that its update period is unknown."""
MIN_POWER_W = 1.0
"""A counter of coarse steps, such as a plug's of 1 Wh, may stand still for as long as a device that
draws no more than this takes for a step (our judgement)."""
LOOKS = 10
"""A step of a polled counter during which its power was seen at least this often is split by it."""
MAX_LIMIT_RATIO = 3.0
"""Power above this multiple of the board's limit is implausible."""
MAX_POWER_W = 5000.0
"""The same without a known limit."""


@dataclass(frozen=True)
class Stretch:
    """A time over which a counter is trusted.

    Attributes:
        time_s: Moments of updates and edges, shape (nodes,), rising.
        energy_j: The counter at each, shape (nodes,).
        edge_var: Its variance at each, J², shape (nodes,).
    """

    time_s: Floats
    energy_j: Floats
    edge_var: Floats


def stretches(
    readings: Readings, edges_s: Floats, shape: Callable[[], Curve] | None = None
) -> list[Stretch]:
    """The stretches of a counter's readings, with the energy at every edge in them.

    Args:
        readings: Of a counter.
        edges_s: Where the load may change, rising.
        shape: Gives the curve of the device's power sensor, if it has one: updates of a counter
            that is slow, or may be, are also split by it.
    """
    found = []
    update_s = _update_s(readings)
    power = shape() if shape and update_s > SLOW_S else None
    for first, end in _trusted(readings):
        updates = counter_updates(readings.part(first, end), update_s)
        if first:
            # The first value after a break is no update: its moment is unknown.
            updates = updates.after_first()
        if len(updates.time_s) > 1:
            found.append(_stretch(updates, edges_s, readings.sensor, power))
    return found


def _stretch(
    updates: CounterUpdates, edges_s: Floats, sensor: Sensor, power: Curve | None
) -> Stretch:
    inside = (edges_s >= updates.time_s[0]) & (edges_s <= updates.last_s)
    moments_s = np.unique(np.concatenate([edges_s[inside], [updates.last_s]]))
    energy_j, variance = energies_at(moments_s, updates)
    if power is not None and len(power.time_s):
        split_j, split_var = _split_by_power(moments_s, updates, power)
        between_j, _ = pooled(energy_j, variance, split_j, split_var)
        # What both disagree by is uncertain: the load may be less steady than extrapolation
        # assumes, or change faster than the power sensor can show.
        known = np.isfinite(split_var)
        variance += np.where(known, (split_j - energy_j) ** 2 / 2 + split_var, 0.0)
        energy_j = between_j
        if sensor.poll_s:
            # A step of many looks is what they show: extrapolation over it says little.
            end = np.clip(np.searchsorted(updates.time_s, moments_s), 1, len(updates.time_s) - 1)
            length_s = updates.time_s[end] - updates.time_s[end - 1]
            known &= length_s > LOOKS * max(sensor.update_s, sensor.poll_s)
            after_j, after_var = _after_last(moments_s, updates, power)
            is_after = np.isfinite(after_var)
            energy_j = np.select([is_after, known], [after_j, split_j], energy_j)
            variance = np.select([is_after, known], [after_var, split_var], variance)
    time_s = np.concatenate([updates.time_s, moments_s])
    order = np.argsort(time_s, kind="stable")
    return Stretch(
        time_s=time_s[order],
        # An edge right at an update may be given less than the update showed: energy never falls.
        energy_j=np.maximum.accumulate(np.concatenate([updates.energy_j, energy_j])[order]),
        edge_var=np.concatenate([_update_var(updates, sensor), variance])[order],
    )


def _split_by_power(
    moments_s: Floats, updates: CounterUpdates, power: Curve
) -> tuple[Floats, Floats]:
    """The updates that moments fall in, split by the energy of the power sensor.

    Returns:
        The energy up to each moment, J, and its variance, J²: infinite outside of updates, and
        where power was not read.
    """
    after = np.clip(np.searchsorted(updates.time_s, moments_s), 1, len(updates.time_s) - 1)
    start_s, end_s = updates.time_s[after - 1], updates.time_s[after]

    def at_each(what: Floats) -> list[Floats]:
        return [np.interp(at_s, power.time_s, what) for at_s in (start_s, moments_s, end_s)]

    inside = (moments_s > start_s) & (moments_s < end_s) & (start_s >= power.time_s[0])
    start_j, moment_j, end_j = at_each(power.energy_j)
    inside &= (end_s <= power.time_s[-1]) & (end_j > start_j)
    share = (moment_j - start_j) / np.where(inside, end_j - start_j, 1.0)
    update_j = updates.energy_j[after] - updates.energy_j[after - 1]
    # The variance of samples before and after the moment.
    start_j2, moment_j2, end_j2 = at_each(power.random_var)
    variance = (1 - share) ** 2 * (moment_j2 - start_j2) + share**2 * (end_j2 - moment_j2)
    variance = np.maximum(variance, 0.0) + (UNSTEADY * update_j) ** 2
    off_s2 = ((1 - share) * updates.half_s[after - 1]) ** 2 + (share * updates.half_s[after]) ** 2
    variance += (update_j / np.where(inside, end_s - start_s, 1.0)) ** 2 * off_s2 / 3
    energy_j: Floats = updates.energy_j[after - 1] + np.where(inside, share, 0.0) * update_j
    return energy_j, np.where(inside, variance, np.inf)


def _after_last(moments_s: Floats, updates: CounterUpdates, power: Curve) -> tuple[Floats, Floats]:
    """The energy after the last update of a meter that is polled, by its power.

    A step of such a counter may take minutes, over which the power before it says little. Its power
    is scaled to what the counter showed over all of its updates, since both have gains.

    Returns:
        The energy up to each moment, J, and its variance, J²: infinite at moments before the last
        update, and where power was not read.
    """
    last_s, last_j = updates.time_s[-1], updates.energy_j[-1]
    from_s = updates.time_s[np.searchsorted(updates.time_s[:-1], power.time_s[0])]

    def since_j(start_s: float, at_s: Floats | float) -> Floats:
        ends_j, start_j = (np.interp(s, power.time_s, power.energy_j) for s in (at_s, start_s))
        return np.asarray(ends_j - start_j)

    counted_j = last_j - np.interp(from_s, updates.time_s, updates.energy_j)
    seen_j = since_j(from_s, last_s)
    gain = counted_j / seen_j if seen_j > 0 and counted_j > 0 else 1.0
    known = (moments_s > last_s) & (power.time_s[0] <= last_s) & (moments_s <= power.time_s[-1])
    tail_j = gain * since_j(last_s, moments_s)
    random_var = np.interp(moments_s, power.time_s, power.random_var)
    random_var -= np.interp(last_s, power.time_s, power.random_var)
    power_w = tail_j / np.where(known, moments_s - last_s, 1.0)
    variance = random_var + (UNSTEADY * tail_j) ** 2 + (power_w * updates.half_s[-1]) ** 2 / 3
    return last_j + tail_j, np.where(known, variance, np.inf)


def _update_var(updates: CounterUpdates, sensor: Sensor) -> Floats:
    """Variance of the energy at an update, whose moment is not known exactly."""
    # The slope beside an uncertain moment is uncertain, too: the steepest around it counts.
    slopes_w = np.gradient(updates.energy_j, updates.time_s)
    padded_w = np.pad(slopes_w, 1, mode="edge")
    power_w = np.maximum(np.maximum(padded_w[:-2], padded_w[2:]), slopes_w)
    off_j = edge_resolution_j(sensor, power_w)
    variance: Floats = (power_w * updates.half_s) ** 2 / 3 + off_j**2 / 12
    return variance


def _trusted(readings: Readings) -> list[tuple[int, int]]:
    """From and to which reading the counter is trusted, in order."""
    if not len(readings.time_ns):
        return []
    time_s, steps_j = readings.time_s, np.diff(readings.value)
    cut = (steps_j < 0) | _absurd(readings, np.diff(time_s), steps_j)
    cuts = [0, *(np.flatnonzero(cut) + 1).tolist(), len(time_s)]
    parts = [(first, end) for first, end in pairwise(cuts) if end > first]
    if readings.sensor.update_s < FRESH_S:
        return parts
    frozen_s = _frozen_s(readings)
    return [each for part in parts for each in _thawed(time_s, readings.value, frozen_s, *part)]


def _absurd(readings: Readings, apart_s: Floats, steps_j: Floats) -> NDArray[np.bool_]:
    most_w = max_power_w(readings.sensor)
    # A step may show what was drawn since the update before it.
    absurd: NDArray[np.bool_] = steps_j > most_w * (apart_s + 2 * readings.sensor.update_s)
    return absurd & (readings.sensor.update_s > 0)  # CPU time, of an estimate, comes in ticks


def max_power_w(sensor: Sensor) -> float:
    """The most power that is plausible for a device."""
    return MAX_LIMIT_RATIO * sensor.ceiling_w if sensor.ceiling_w else MAX_POWER_W


def leapt(readings: Readings) -> bool:
    """Whether a counter ever showed more than its device can have drawn."""
    return bool(_absurd(readings, np.diff(readings.time_s), np.diff(readings.value)).any())


def _thawed(
    time_s: Floats, value: Floats, frozen_s: float, first: int, end: int
) -> list[tuple[int, int]]:
    """Parts of a stretch without the time in which the counter stood still.

    The freeze began at some moment before the first reading of the last value, which is left out.
    """
    starts, lasts = (each + first for each in _runs(value[first:end]))
    frozen = time_s[lasts] - time_s[starts] > frozen_s
    found, begin = [], first
    for start, last in zip(starts[frozen].tolist(), lasts[frozen].tolist(), strict=True):
        found.append((begin, start))
        begin = last
    found.append((begin, end))
    return [(a, b) for a, b in found if b - a > 1]


def stood_still(readings: Readings) -> bool:
    """Whether a slow counter was ever frozen."""
    starts, lasts = _runs(readings.value)
    held_s = readings.time_s[lasts] - readings.time_s[starts]
    slow = readings.sensor.update_s >= FRESH_S
    return slow and bool((held_s > _frozen_s(readings)).any())


def _frozen_s(readings: Readings) -> float:
    """A counter without a new value for longer than this is frozen."""
    sensor = readings.sensor
    known_s = max(sensor.update_s, sensor.resolution_j / MIN_POWER_W)
    apart_s = at_most_s(readings.time_ns, readings.value)
    if np.isinf(apart_s):
        return max(FROZEN_UPDATES * known_s, UNSEEN_S)
    return FROZEN_UPDATES * max(min(_update_s(readings), apart_s), known_s)


def _runs(value: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last index of each run of equal readings."""
    changed = np.flatnonzero(np.diff(value) != 0)
    return np.concatenate([[0], changed + 1]), np.concatenate([changed, [len(value) - 1]])


def _update_s(readings: Readings) -> float:
    """Time between two updates, from all stretches: one alone may have too few.

    If they do not show it, it is the value known beforehand, unless the counter often stayed the
    same for longer.
    """
    known_s = readings.sensor.update_s
    if known_s < FRESH_S or len(readings.value) < 2:
        return known_s
    if readings.update_period_s:
        return readings.update_period_s
    starts, lasts = _runs(readings.value)
    held_s = (readings.time_s[lasts] - readings.time_s[starts])[:-1]
    apart_s = at_most_s(readings.time_ns, readings.value)
    is_slower = len(held_s) > 0 and float(np.median(held_s)) > known_s and np.isfinite(apart_s)
    return max(apart_s, known_s) if is_slower else known_s
