"""Predicts the size of a trace, from how often each sensor is read and the size of a reading."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.energy.recorder.device_reader import reading_period_ns
from harness.energy.sensors.base import SLOW_S, Sensor
from harness.energy.trace import Trace

LINE_BYTES = 30
"""A reading as a line of JSON, such as [1,864000123456789,212.345]."""
STATE_BYTES = 300
"""The state of a device, every five seconds if it changes."""
STATES_PER_S = 0.2
BUSY_BYTES = 110
"""How busy a GPU is, once a second if it changes."""
UPDATE_LINES = 4
"""A counter is watched once a second: before an update, at it, and at most twice more."""
PACKED = 0.25
"""A packed trace takes at most this share of that."""


def trace_bytes(
    sensors: Sequence[Sensor],
    period_s: float,
    duration_s: float,
    weak: Collection[int] = (),
) -> float:
    """How large the trace of a run grows at most while it is recorded, borders left out.

    Args:
        sensors: What is read, as known beforehand.
        period_s: Time between readings of power that is asked for.
        duration_s: How long.
        weak: Numbers of the counters beside which power is read as if there were none (see
            `weak_counters`).
    """
    counted = {
        sensor.device
        for number, sensor in enumerate(sensors)
        if sensor.is_stepped_counter and number not in weak
    }
    lines_per_s = 0.0
    for sensor in sensors:
        if sensor.is_stepped_counter:
            lines_per_s += UPDATE_LINES
        else:
            period_ns = reading_period_ns(sensor, round(period_s * 1e9), counted)
            lines_per_s += 1e9 / period_ns
    states = STATES_PER_S * STATE_BYTES * len({sensor.device for sensor in sensors})
    states += BUSY_BYTES * len({sensor.device for sensor in sensors if sensor.kind == "gpu"})
    return (lines_per_s * LINE_BYTES + states) * duration_s


def weak_counters(trace: Trace) -> set[int]:
    """Numbers of the counters that were found to be slow, falsified or without a rhythm."""
    slow = {
        number
        for number, readings in enumerate(trace.readings)
        if readings.sensor.is_stepped_counter and readings.sensor.update_s > SLOW_S
    }
    return {*slow, *trace.falsified, *trace.irregular}
