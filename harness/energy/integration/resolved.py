"""The shortest window that a meter can tell, by the ± that the integration itself states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.energy.integration.windows import EnergyCurve
from harness.energy.sensors.base import Quantity, Sensor
from harness.energy.trace import Readings

MAX_WINDOW_S = 7200.0
SHARE = 0.05
IDLE = 0.22
"""Of the power in the window, what is drawn before and after it: between looks the load may have
been as low. Idle power is this share of full power in the median of 609 servers of SPECpower."""
_PHASES = 9
"""At how many points of the meter's slowest update period windows begin."""


def shortest_window_s(
    sensors: Sequence[Sensor], power_w: float, share: float = SHARE
) -> float | None:
    """The shortest window that one polled meter measures to a share of its energy, without gain.

    A load between two times of idling is read through a model of the meter (its step, its refresh,
    what it averages over, how often it is asked), and its window is computed as any other is.

    Args:
        sensors: Of the meter: its counter, its power, or both.
        power_w: What is drawn in the window.
        share: Of the energy, as a 95 % half-width.

    Returns:
        Seconds; None if it is more than two hours, or nothing is drawn.
    """
    if power_w <= 0:
        return None
    by_quantity = {each.quantity: each for each in sensors}
    refresh_s = max(each.update_s for each in sensors)  # a firmware refreshes its figures at once
    slowest_s = max(max(s.poll_s, s.update_s, s.resolution_j / power_w) for s in sensors)
    window_s = 1.0
    while window_s <= MAX_WINDOW_S:
        starts_s = 6 * slowest_s + slowest_s * np.arange(_PHASES) / _PHASES
        if all(
            _off_j(by_quantity, power_w, (start_s, start_s + window_s), refresh_s, 6 * slowest_s)
            <= share * power_w * window_s
            for start_s in starts_s.tolist()
        ):
            return window_s
        window_s *= 1.25
    return None


def _off_j(
    sensors: Mapping[Quantity, Sensor],
    power_w: float,
    window_s: tuple[float, float],
    refresh_s: float,
    after_s: float,
) -> float:
    """The ± of a window in which a load is drawn, without gain, in J.

    Args:
        sensors: Of a meter, by quantity.
        power_w: What is drawn in the window.
        window_s: Its start and end.
        refresh_s: Time between two refreshes of the meter's figures.
        after_s: How long it is read after the window.
    """
    moments_s = [0.0, *window_s, window_s[1] + after_s]
    read = {name: _read(each, power_w, moments_s, refresh_s) for name, each in sensors.items()}
    best = read.get("energy") or read["power"]
    start_ns, end_ns = (round(each * 1e9) for each in window_s)
    curve = EnergyCurve(best, read.get("power"), (start_ns, end_ns), best.sensor.poll_s)
    return curve.between(start_ns, end_ns).without_gain_j


def _read(sensor: Sensor, power_w: float, moments_s: list[float], refresh_s: float) -> Readings:
    """What a meter shows, asked every `poll_s`.

    Args:
        sensor: Of the meter.
        power_w: What is drawn in the window.
        moments_s: Begin of the readings, start and end of the window, end of the readings.
        refresh_s: Time between two refreshes of its figures.
    """
    knots_s = np.array([moments_s[0] - 60.0, *moments_s[1:]])  # averages reach back
    knots_j = np.cumsum([0.0, *(np.diff(knots_s) * power_w * [IDLE, 1.0, IDLE])])
    time_s = np.arange(moments_s[0], moments_s[-1], sensor.poll_s)
    refreshed_s = time_s - time_s % max(refresh_s, 1e-3)
    value = np.interp(refreshed_s, knots_s, knots_j)
    if sensor.quantity == "energy":
        value -= value % sensor.resolution_j if sensor.resolution_j else 0.0
    else:
        average_s = max(sensor.window_s, 1e-3)
        value = (value - np.interp(refreshed_s - average_s, knots_s, knots_j)) / average_s
    nothing = np.zeros(0, dtype=np.int64)
    return Readings(
        sensor=sensor,
        time_ns=np.round(time_s * 1e9).astype(np.int64),
        value=value,
        failed_ns=nothing,
    )
