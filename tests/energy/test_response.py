"""Averaging windows found from a switched load, through the stand-in's own sensor model."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.examination import averaging_window_s
from tests.energy.virtual import SECOND, gpu_meters

LENGTHS_S = (0.313, 0.237, 0.467, 0.173, 0.289, 0.411)


def answer(machine, seconds: float = 4.0):
    """Readings every 2 ms of power under a load of known timing, and its switches."""
    gpu, start_ns = machine.gpus[0], machine.clock_ns
    switches, at_ns = [], start_ns + SECOND // 10
    for number in range(30):
        gpu.draw(80 if number % 2 else 500, at_ns)
        switches.append(at_ns)
        at_ns += round(LENGTHS_S[number % 6] * SECOND)
    meter = gpu_meters()[1]
    times, values = [], []
    while machine.clock_ns < start_ns + seconds * SECOND:
        machine.clock_ns += 2_000_000
        times.append(machine.clock_ns)
        values.append(meter.read())
    return np.array(times), np.array(values), switches


@pytest.mark.parametrize(
    ("update_ms", "window_ms"), [(100, 25), (100, 100), (20, 10), (100, 1000), (50, 50)]
)
@pytest.mark.parametrize("phase_ms", [0, 37])
def test_the_window_is_found(virtual, update_ms, window_ms, phase_ms) -> None:
    machine = virtual(
        power_w=80.0,
        power_update_ms=update_ms,
        power_window_ms=window_ms,
        power_phase_ms=phase_ms,
        noise=0.01,
    )
    assert averaging_window_s(*answer(machine)) == window_ms / 1000


def test_power_that_does_not_follow_the_load_shows_nothing(virtual) -> None:
    times, values, _ = answer(virtual(power_w=80.0, noise=0.01))
    elsewhere = [int(times[0]) + n * 37 * SECOND // 100 for n in range(12)]
    assert averaging_window_s(times, values, elsewhere) is None


def test_without_a_load_nothing_is_claimed(virtual) -> None:
    times, values, _ = answer(virtual(power_w=80.0))
    assert averaging_window_s(times, values, []) is None
    assert averaging_window_s(times, np.full(len(times), 80.0), [int(times[0])]) is None
