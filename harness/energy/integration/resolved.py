"""The shortest window that a meter can tell, by the ± that the integration itself states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.energy.integration.windows import EnergyCurve
from harness.energy.sensors.base import Sensor
from harness.energy.trace import Readings

MAX_WINDOW_S = 7200.0
SHARE = 0.05
_PHASES = 5
"""At how many points of the meter's slowest update period windows begin."""


def shortest_window_s(
    sensors: Sequence[Sensor], power_w: float, share: float = SHARE
) -> float | None:
    """The shortest window that one polled meter measures to a share of its energy, without gain.

    A steady power is read through a model of the meter (its step, its refresh, how often it is
    asked), and the windows of that trace are computed as any others are.

    Args:
        sensors: Of the meter: its counter, its power, or both.
        power_w: What is drawn.
        share: Of the energy, as a 95 % half-width.

    Returns:
        Seconds; None if it is more than two hours, or nothing is drawn.
    """
    if power_w <= 0:
        return None
    by_quantity = {each.quantity: each for each in sensors}
    slowest_s = max(max(s.poll_s, s.update_s, s.resolution_j / power_w) for s in sensors)
    window_s = 1.0
    while window_s <= MAX_WINDOW_S:
        length_s = window_s + 12 * slowest_s
        starts_s = 6 * slowest_s + slowest_s * np.arange(_PHASES) / _PHASES
        begins_ns, ends_ns = (
            np.round(each * 1e9).astype(np.int64).tolist()
            for each in (starts_s, starts_s + window_s)
        )
        found = []
        for edges in zip(begins_ns, ends_ns, strict=True):
            read = {name: _read(s, power_w, length_s) for name, s in by_quantity.items()}
            best = read.get("energy") or read["power"]
            curve = EnergyCurve(best, read.get("power"), edges, best.sensor.poll_s)
            found.append(curve.between(*edges).without_gain_j)
        if max(found) <= share * power_w * window_s:
            return window_s
        window_s *= 1.25
    return None


def _read(sensor: Sensor, power_w: float, length_s: float) -> Readings:
    """What the meter shows of a steady power, asked every `poll_s`."""
    time_s = np.arange(0.0, length_s, sensor.poll_s)
    refreshed_s = time_s - time_s % max(sensor.update_s, 1e-3)
    if sensor.quantity == "energy":
        value = power_w * refreshed_s
        value -= value % sensor.resolution_j if sensor.resolution_j else 0.0
    else:
        value = np.full(len(time_s), power_w)
    nothing = np.zeros(0, dtype=np.int64)
    return Readings(
        sensor=sensor,
        time_ns=np.round(time_s * 1e9).astype(np.int64),
        value=value,
        failed_ns=nothing,
    )
