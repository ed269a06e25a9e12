"""The live bar: followed line by line, a trace must show the joules and watts that were drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.energy.live import LiveEnergy
from tests.energy.traces import SECOND, encode, header, sensor
from tests.energy.virtual import gpu_meters, record
from tests.fakes.stand_in import StandIn

POWER = sensor("power", "sampled")
ESTIMATE = sensor("energy", "estimated", device="cpu:host")

RECORDED = {
    "counter": {},
    "falsified counter": {"read_cost_ms": 15.0},
    "no counter": {"counter_supported": 0},
    "no counter, blind power": {"counter_supported": 0, "noise": 0.02},
    "only averages": {"counter_supported": 0, "fields_supported": 0, "architecture": 9},
    "power noise": {"noise": 0.05},
    "memory apart": {"memory_power_share": 0.4, "counter_supported": 0},
    "two GPUs": {"gpus": 2},
    "two GPUs, uneven": {"gpus": 2, "counter_phase_ms": 57, "noise": 0.02},
}


@pytest.fixture(params=RECORDED.values(), ids=RECORDED)
def recorded(request, virtual) -> tuple[StandIn, list[Any]]:
    """A machine that draws 200 W a GPU, and half a minute of it as a recorder writes it."""
    machine = virtual(**request.param)
    start = machine.clock_ns + 10 * SECOND
    _, lines = record(machine, gpu_meters(), [start, start + 7 * SECOND, start + 20 * SECOND])
    return machine, lines


def followed(trace: Path, lines: list[Any]) -> Iterator[tuple[int, LiveEnergy]]:
    """After every reading its moment, and the bar."""
    live = LiveEnergy(trace)
    with trace.open("ab") as file:
        for line in lines:
            file.write(encode([line]))
            file.flush()
            live.update()
            if isinstance(line, list):
                yield line[1], live


def test_the_bar_comes_to_the_joules_that_were_drawn(trace, recorded) -> None:
    machine, lines = recorded
    trace.write_bytes(encode(lines))
    live = LiveEnergy(trace)
    live.update()
    moments = [line[1] for line in lines if isinstance(line, list)]
    truth_j = sum(gpu.truth_j(min(moments), max(moments)) for gpu in machine.gpus)
    assert live.energy_j == pytest.approx(truth_j, rel=0.02)
    assert live.source == "simulated"


def test_the_bar_shows_a_steady_power_at_every_moment(trace, recorded) -> None:
    """Though readings that say nothing new are missing, and counters move once a second on file."""
    machine, lines = recorded
    knows = next(line["idle"][1] for line in lines if isinstance(line, dict) and "idle" in line)
    watts = 200.0 * len(machine.gpus)
    shown = [live.power_w for moment, live in followed(trace, lines) if moment > knows + SECOND]
    assert len(shown) > 20
    assert shown == pytest.approx([watts] * len(shown), rel=0.12)


def test_the_bar_follows_a_change_of_power_within_seconds(trace, virtual) -> None:
    machine = virtual(power_w=50.0)
    start = machine.clock_ns + 10 * SECOND
    machine.gpus[0].draw(350.0, at_ns=start + 5 * SECOND)
    _, lines = record(machine, gpu_meters(), [start, start + 15 * SECOND])
    shown = [(moment, live.power_w) for moment, live in followed(trace, lines)]
    before = [watts for moment, watts in shown if start < moment < start + 5 * SECOND]
    after = [watts for moment, watts in shown if moment > start + int(7.5 * SECOND)]
    assert before == pytest.approx([50.0] * len(before), rel=0.12)
    assert after == pytest.approx([350.0] * len(after), rel=0.12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_live_energy_may_be_fed_in_pieces_cut_anywhere(trace, virtual, seed) -> None:
    machine = virtual(gpus=2, noise=0.1)
    begins = machine.clock_ns + 10 * SECOND
    _, lines = record(machine, gpu_meters(), [begins, begins + 5 * SECOND])
    content = encode(lines)
    draw = np.random.default_rng(seed)
    cuts = sorted(draw.integers(0, len(content), 40).tolist())
    live, whole = LiveEnergy(trace), LiveEnergy(trace)
    for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        with trace.open("ab") as file:
            file.write(content[begin:end])
        live.update()
    whole.update()
    assert (live.energy_j, live.power_w) == (whole.energy_j, whole.power_w)
    assert whole.energy_j > 5000


def test_a_counter_set_back_takes_nothing_away_and_failures_are_passed_over(trace) -> None:
    values = [100.0, 160.0, 5.0, None, 65.0, 65.0]
    readings = [
        [0, n * SECOND, value, *(["Timeout"] if value is None else [])]
        for n, value in enumerate(values)
    ]
    trace.write_bytes(encode([header([sensor()]), *readings]))
    live = LiveEnergy(trace)
    live.update()
    assert live.energy_j == 120


def test_a_counter_that_stands_still_draws_nothing(trace) -> None:
    values = [0.0, 100.0, 200.0, 200.0, 200.0, 200.0]
    trace.write_bytes(
        encode([header([ESTIMATE]), *([0, n * SECOND, v] for n, v in enumerate(values))])
    )
    live = LiveEnergy(trace)
    live.update()
    assert (live.energy_j, live.power_w) == (200, 0)


def test_a_sensor_that_never_answers_does_not_stand_in_the_way_of_one_that_does(trace) -> None:
    readings = [
        [gpu, n * SECOND, *([None, "Timeout"] if gpu == 0 else [150.0])]
        for n in range(4)
        for gpu in range(2)
    ]
    trace.write_bytes(encode([header([sensor(), POWER]), *readings]))
    live = LiveEnergy(trace)
    live.update()
    assert (live.energy_j, live.power_w, live.source) == (450, 150, "sampled")


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
    assert live.energy_j == pytest.approx(100)
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
    [
        ([sensor(), POWER], "counter"),
        ([POWER, sensor(device="GPU-1")], "counter+sampled"),
        ([POWER, ESTIMATE], "sampled"),
        ([ESTIMATE], "estimated"),
    ],
)
def test_source_is_reported(trace, sensors, source) -> None:
    readings = [[number, SECOND, 1.0] for number in range(len(sensors))]
    trace.write_bytes(encode([header(sensors), *readings]))
    live = LiveEnergy(trace)
    live.update()
    assert live.source == source
