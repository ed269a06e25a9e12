"""How large a trace will grow: from how often each sensor is read, and what a reading takes."""

from __future__ import annotations

from collections.abc import Sequence

from harness.energy.meter import Sensor
from harness.energy.recorder.device_reader import is_slow_counter, reading_period_ns

LINE_BYTES = 30
"""A reading as a line of JSON, such as [1,864000123456789,212.345]."""
STATE_BYTES = 300
"""What is told of a device's state, every five seconds if it changes."""
STATES_PER_S = 0.2
BUSY_BYTES = 110
"""How busy a GPU is, once a second if it changes."""
UPDATE_LINES = 3
"""A counter is watched once a second: before an update, at it, and once more."""
PACKED = 0.25
"""Packed, a trace takes at most so much of that."""


def trace_bytes(sensors: Sequence[Sensor], period_s: float, duration_s: float) -> float:
    """How large the trace of a run grows at most while it is recorded, borders left out.

    Args:
        sensors: What is read.
        period_s: Time between readings of power that is asked for.
        duration_s: How long.
    """
    counted = {sensor.device for sensor in sensors if is_slow_counter(sensor)}
    lines_per_s = 0.0
    for sensor in sensors:
        if is_slow_counter(sensor):
            lines_per_s += UPDATE_LINES
        else:
            period_ns = reading_period_ns(sensor, round(period_s * 1e9), counted)
            lines_per_s += 1e9 / period_ns
    states = STATES_PER_S * STATE_BYTES * len({sensor.device for sensor in sensors})
    states += BUSY_BYTES * len({sensor.device for sensor in sensors if sensor.kind == "gpu"})
    return (lines_per_s * LINE_BYTES + states) * duration_s
