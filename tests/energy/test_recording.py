"""The recorder's work in virtual time, on stand-in GPUs of known power."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from harness.energy.integration.update_period import sharp_updates
from harness.energy.integration.windows import curves
from harness.energy.recorder.device_reader import FALSIFIED_PERIOD_NS, READ_ON_NS
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.trace import Trace, trace_of
from tests.energy.conftest import BEGINS_NS
from tests.energy.traces import header
from tests.energy.virtual import SECOND, Lines, VirtualSignals, gpu_meters, record
from tests.fakes.stand_in import StandIn, square

MS = 1_000_000
STARTS = BEGINS_NS + 10 * SECOND


def energy_j(trace: Trace, start_ns: int, end_ns: int) -> float:
    found = curves(trace, (start_ns, end_ns))
    return sum(curve.between(start_ns, end_ns).energy_j for curve in found)


def truth_j(machine: StandIn, start_ns: int, end_ns: int) -> float:
    return sum(gpu.truth_j(start_ns, end_ns) for gpu in machine.gpus)


def test_idle_power_is_measured_before_the_run_and_where_it_was_is_reported(virtual) -> None:
    machine = virtual(power_w=60.0)
    machine.gpus[0].draw(300.0, at_ns=STARTS)
    trace, _ = record(machine, gpu_meters(), [STARTS, STARTS + 5 * SECOND], idle_s=3.0)
    start, end = trace.idle_ns
    assert 3 * SECOND <= end - start < 3.1 * SECOND
    assert end < STARTS
    assert energy_j(trace, start, end) / ((end - start) / SECOND) == pytest.approx(60, rel=0.01)


def test_without_an_idle_time_none_is_reported(virtual) -> None:
    trace, _ = record(virtual(), gpu_meters(), [STARTS, STARTS + SECOND], idle_s=0.0)
    assert trace.idle_ns is None


@pytest.mark.parametrize("update_ms", [20, 100])
def test_an_ordinary_counter_is_not_called_falsified(virtual, update_ms) -> None:
    machine = virtual(counter_update_ms=update_ms, counter_phase_ms=13)
    trace, _ = record(machine, gpu_meters(), [STARTS, STARTS + 5 * SECOND])
    assert trace.falsified == {}


def test_a_counter_that_loses_energy_when_read_closely_is_reported_and_left_alone(
    virtual,
) -> None:
    machine = virtual(read_cost_ms=15)
    gpu = machine.gpus[0]
    log = Lines()
    signals = VirtualSignals(machine, [])
    meters = gpu_meters()
    log.append(header([meter.sensor for meter in meters]))
    recording = Recording(meters, [], TraceWriter(log), signals, 50 * MS)
    recording.get_to_know(2 * SECOND)
    assert trace_of(log.lines).falsified[0] == pytest.approx(0.95, abs=0.05)
    closely = gpu.counter_reads
    assert closely > 200
    borders = [machine.clock_ns + n * SECOND for n in range(1, 101)]
    signals.plan(borders, borders[-1])
    recording.read()
    assert gpu.counter_reads - closely <= 100 * SECOND / FALSIFIED_PERIOD_NS + 3


def test_with_a_falsified_counter_the_energy_comes_from_power_and_is_right(virtual) -> None:
    machine = virtual(read_cost_ms=15, power_update_ms=20, power_window_ms=20)
    end = STARTS + 20 * SECOND
    square(machine.gpus[0], STARTS, end, 2.0, 0.5, 300.0, 60.0)
    trace, _ = record(machine, gpu_meters(), [STARTS, end])
    assert set(trace.falsified) == {0}
    (curve,) = curves(trace, (STARTS, end))
    assert curve.sensor.quantity == "power"
    assert energy_j(trace, STARTS, end) == pytest.approx(truth_j(machine, STARTS, end), rel=0.02)


def test_updates_of_a_counter_around_borders_are_sharp_and_the_energy_right(virtual) -> None:
    machine = virtual(power_w=60.0, counter_phase_ms=41)
    borders = [STARTS + n * 1_370 * MS for n in range(6)]
    for border, watts in zip(borders, [300.0, 120.0, 350.0, 80.0, 200.0, 60.0], strict=True):
        machine.gpus[0].draw(watts, at_ns=border)
    trace, _ = record(machine, gpu_meters(), borders)
    counter = trace.readings[0]
    sharp = sharp_updates(counter.time_ns, counter.value)
    for start, end in pairwise(borders):
        around = (sharp.time_ns > start) & (sharp.time_ns < start + 320 * MS)
        assert around.sum() >= 3
        assert sharp.half_ns[around].max() <= 2 * MS
        true_j = machine.gpus[0].truth_j(start, end)
        assert energy_j(trace, start, end) == pytest.approx(true_j, rel=0.01)


def test_a_counter_is_read_seldom_between_borders(virtual) -> None:
    machine = virtual(counter_phase_ms=41)
    record(machine, gpu_meters(), [STARTS, STARTS + SECOND])
    short = machine.gpus[0].counter_reads
    machine = virtual(counter_phase_ms=41)
    record(machine, gpu_meters(), [STARTS, STARTS + 101 * SECOND])
    assert 100 <= machine.gpus[0].counter_reads - short <= 600


def test_the_end_waits_until_counters_show_all_that_was_drawn(virtual) -> None:
    machine = virtual(counter_phase_ms=41, counter_latency_ms=30)
    end = STARTS + 1_234 * MS
    machine.gpus[0].draw(0.0, at_ns=end)
    trace, lines = record(machine, gpu_meters(), [STARTS, end])
    counter = trace.readings[0]
    assert counter.value[-1] == pytest.approx(machine.gpus[0].truth_j(0, end), abs=0.002)
    assert READ_ON_NS <= lines[-1]["end"] - end < READ_ON_NS + 50 * MS


def test_power_is_polled_faster_where_no_counter_helps(virtual) -> None:
    """A falsified one does not."""
    rates = {}
    for name, settings in {
        "counter": {},
        "none": {"counter_supported": 0},
        "falsified": {"read_cost_ms": 15.0},
    }.items():
        machine = virtual(power_update_ms=1, power_window_ms=1, noise=0.01, **settings)
        trace, _ = record(machine, gpu_meters(), [STARTS, STARTS + 10 * SECOND])
        power = next(each for each in trace.readings if each.sensor.quantity == "power")
        rates[name] = ((power.time_ns > STARTS) & (power.time_ns < STARTS + 10 * SECOND)).sum() / 10
    assert rates == pytest.approx({"counter": 20, "none": 50, "falsified": 50}, rel=0.05)


def test_memory_power_is_offered_as_a_part_and_read_slowly(virtual) -> None:
    machine = virtual(memory_power_share=0.25, noise=0.01)
    end = STARTS + 20 * SECOND
    trace, _ = record(machine, gpu_meters(), [STARTS, end])
    (memory,) = [each for each in trace.readings if each.sensor.part == "memory"]
    assert np.mean(memory.value) == pytest.approx(50, rel=0.05)
    assert 18 <= (memory.time_ns > STARTS).sum() <= 23
    assert energy_j(trace, STARTS, end) == pytest.approx(200 * 20, rel=0.01)


def test_eight_gpus_are_each_read_as_themselves(virtual) -> None:
    machine = virtual(power_w=[50.0 + 30 * n for n in range(8)])
    for number, gpu in enumerate(machine.gpus):
        gpu.counter_phase_ms = 11 * number
        gpu.draw(400.0 - 20 * number, at_ns=STARTS)
    end = STARTS + 5 * SECOND
    machine.gpus[3].draw(1.0, at_ns=end)
    trace, _ = record(machine, gpu_meters(), [STARTS, end])
    found = {c.sensor.device: c.between(STARTS, end) for c in curves(trace, (STARTS, end))}
    for gpu in machine.gpus:
        assert found[gpu.uuid].energy_j == pytest.approx(gpu.truth_j(STARTS, end), rel=0.01)
        assert found[gpu.uuid].coverage == 1
    assert trace.falsified == {}


@pytest.mark.parametrize("after_ms", [0, 100, 700, 5_000])
def test_stopping_while_sensors_are_got_to_know_ends_soon(virtual, after_ms) -> None:
    machine = virtual()
    log = Lines()
    signals = VirtualSignals(machine, [])
    signals.stop_ns = BEGINS_NS + after_ms * MS
    recording = Recording(gpu_meters(), [], TraceWriter(log), signals, 50 * MS)
    recording.get_to_know(600 * SECOND)
    recording.read()
    assert machine.clock_ns < signals.stop_ns + SECOND
    assert "end" in log.lines[-1]


def test_a_failing_counter_does_not_disturb_what_else_is_read(virtual) -> None:
    machine = virtual(gpus=2, power_update_ms=20, power_window_ms=20)
    lost = STARTS + 5 * SECOND
    machine.fault(15, gpu=0, from_ns=lost)
    end = STARTS + 10 * SECOND
    trace, lines = record(machine, gpu_meters(), [STARTS, end])
    failed = [line for line in lines if isinstance(line, list) and line[2] is None]
    assert {line[3] for line in failed} == {"GPU is lost"}
    # Once a second each of three sensors says that it still fails, and the counter reads on.
    assert len(failed) < 3 * 5 * 4
    other = [each for each in trace.readings if each.sensor.device == machine.gpus[1].uuid]
    assert [each.failures for each in other] == [0, 0, 0]
    curve = next(c for c in curves(trace, (STARTS, end)) if c.sensor.device == machine.gpus[1].uuid)
    assert curve.between(STARTS, end).energy_j == pytest.approx(2000, rel=0.01)


class _StallsAtFirst(VirtualSignals):
    """A machine whose threads resume late until the first update of a slow counter has come."""

    def late_ns(self) -> int:
        return 60 * MS if self._machine.clock_ns < BEGINS_NS + 1_300 * MS else 0


def test_a_stall_at_an_update_of_a_slow_counter_leaves_its_rhythm_open(virtual) -> None:
    machine = virtual(counter_update_ms=1000, counter_phase_ms=200)
    end = STARTS + 10 * SECOND
    trace, lines = record(machine, gpu_meters(), [STARTS, end], signals=_StallsAtFirst(machine, []))
    found = [line["rhythm"] for line in lines if isinstance(line, dict) and "rhythm" in line]
    assert "0" not in found[0]
    assert energy_j(trace, STARTS, end) == pytest.approx(truth_j(machine, STARTS, end), rel=0.01)


def test_a_counter_of_unknown_rhythm_is_read_on_until_it_has_moved(virtual, monkeypatch) -> None:
    monkeypatch.setattr("harness.energy.recorder.device_reader._period_s", lambda *_: None)
    monkeypatch.setattr("harness.energy.recorder.read_schedule.SearchPace.rhythm", None)
    machine = virtual(counter_update_ms=1000)
    end = STARTS + 10_300 * MS
    machine.gpus[0].draw(0.0, at_ns=end)
    trace, lines = record(machine, gpu_meters(), [STARTS, end])
    drawn_j = machine.gpus[0].truth_j(0, end)
    assert trace.readings[0].value[-1] == pytest.approx(drawn_j, abs=0.002)
    assert lines[-1]["end"] - end < SECOND
