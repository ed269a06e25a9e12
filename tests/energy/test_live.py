"""Following a growing trace must come to the same joules as reading it once it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.energy.live import LiveEnergy
from harness.energy.meter import Sensor
from harness.energy.trace import read_trace
from harness.energy.windows import curves
from tests.energy.traces import SECOND, encode, header, sensor

POWER = sensor("power", "sampled")
OTHER = sensor("energy", device="GPU-1")
ESTIMATE = sensor("energy", "estimated", device="cpu:host")

SETS = {
    "counter": [sensor()],
    "power": [POWER],
    "counter and power": [sensor(), POWER],
    "two GPUs": [POWER, OTHER],
    "estimate": [ESTIMATE],
    "GPU and estimate": [sensor(), ESTIMATE],
}


def some_lines(sensors: list[Sensor], seed: int) -> list[Any]:
    """Random readings: some fail, and counters may be set back."""
    draw = np.random.default_rng(seed)
    lines: list[Any] = [header(sensors)]
    now, counters = 10**12, [draw.uniform(0, 1e6) for _ in sensors]
    for _ in range(60):
        now += int(draw.integers(10**7, 10**8))
        for number, each in enumerate(sensors):
            counters[number] += draw.uniform(0, 20)
            if draw.random() < 0.03:
                counters[number] = 0.0
            value = counters[number] if each.quantity == "energy" else draw.uniform(50, 300)
            failed = draw.random() < 0.1
            lines.append([number, now, None, "Timeout"] if failed else [number, now, value])
    return lines


def true_j(trace: Path) -> float:
    return sum(curve.between(0, 2**62).energy_j for curve in curves(read_trace(trace)))


@pytest.mark.parametrize("sensors", SETS.values(), ids=SETS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_live_energy_agrees_with_the_curves(trace, sensors, seed) -> None:
    trace.write_bytes(encode(some_lines(sensors, seed)))
    live = LiveEnergy(trace)
    live.update()
    assert live.energy_j == pytest.approx(true_j(trace), rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_live_energy_may_be_fed_in_pieces_cut_anywhere(trace, seed) -> None:
    content = encode(some_lines(SETS["two GPUs"], seed))
    draw = np.random.default_rng(seed)
    cuts = sorted(draw.integers(0, len(content), 40).tolist())
    live = LiveEnergy(trace)
    for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        with trace.open("ab") as file:
            file.write(content[begin:end])
        live.update()
    assert live.energy_j == pytest.approx(true_j(trace), rel=1e-9)


def test_torn_line_of_a_killed_recorder_is_passed_over(trace) -> None:
    lines = [header([sensor()]), [0, SECOND, 1.0], [0, 2 * SECOND, 4.0]]
    trace.write_bytes(encode(lines) + b"[0,3000000")
    live = LiveEnergy(trace)
    live.update()
    assert live.energy_j == 3


def test_trace_begun_anew_counts_from_there(trace) -> None:
    old = [header([POWER]), [0, 9 * SECOND, 200.0], [0, 10 * SECOND, 200.0]]
    new = [header([POWER]), [0, 1 * SECOND, 100.0], [0, 2 * SECOND, 100.0]]
    trace.write_bytes(encode([*old, *new]))
    live = LiveEnergy(trace)
    live.update()
    assert live.energy_j == pytest.approx(true_j(trace)) == pytest.approx(100)
    assert live.power_w == pytest.approx(100)


@pytest.mark.parametrize("period_s", [0.01, 0.05, 0.5, 1, 5, 60])
@pytest.mark.parametrize("sensors", [[sensor()], [POWER]], ids=["counter", "power"])
def test_power_is_right_whatever_the_period(trace, period_s, sensors) -> None:
    times = [period_s * number for number in range(1, 8 + round(3 / period_s))]
    counted = sensors[0].quantity == "energy"
    samples = [[0, round(time * SECOND), 150 * time if counted else 150.0] for time in times]
    trace.write_bytes(encode([header(sensors), *samples]))
    live = LiveEnergy(trace)
    live.update()
    assert live.power_w == pytest.approx(150, rel=1e-3)


def test_power_of_two_gpus_adds_up(trace) -> None:
    sensors = [POWER, sensor("power", "sampled", device="GPU-1")]
    samples = [
        [gpu, number * SECOND // 20 + gpu * 10**6, watts]
        for number in range(40)
        for gpu, watts in enumerate([100.0, 50.0])
    ]
    trace.write_bytes(encode([header(sensors), *samples]))
    live = LiveEnergy(trace)
    live.update()
    assert live.power_w == pytest.approx(150, rel=0.01)


def test_power_follows_the_last_second(trace) -> None:
    samples = [[0, n * SECOND // 10, 300.0 if n < 50 else 20.0] for n in range(80)]
    trace.write_bytes(encode([header([POWER]), *samples]))
    live = LiveEnergy(trace)
    live.update()
    assert live.power_w == pytest.approx(20)


def test_nothing_is_claimed_before_the_first_reading(trace) -> None:
    live = LiveEnergy(trace)
    live.update()
    assert (live.energy_j, live.power_w, live.source) == (0, 0, "")


@pytest.mark.parametrize(
    ("sensors", "source"),
    [(SETS["counter and power"], "counter"), (SETS["two GPUs"], "counter+sampled")],
)
def test_source_is_told(trace, sensors, source) -> None:
    trace.write_bytes(encode(some_lines(sensors, 0)))
    live = LiveEnergy(trace)
    live.update()
    assert live.source == source
