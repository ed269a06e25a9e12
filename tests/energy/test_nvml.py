"""NVIDIA GPUs: the real recorder reads a stand-in driver whose power is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from harness.energy import nvml
from harness.energy.trace import Trace, read_trace
from harness.energy.windows import curves, total
from tests.energy.traces import SECOND, lines_of
from tests.fakes.stand_in import square

UPDATE_S = 0.02
JITTER_S = 0.03
"""How far a moment may be off on a busy machine: a reading is timed by its middle."""


def uuid(index: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{index:012d}"


def wait_for(path: Path, condition: Callable[[Trace], bool]) -> Trace:
    """The trace in `path` as soon as it fulfils `condition`."""
    until = time.monotonic() + 20
    while not condition(trace := read_trace(path)):
        assert time.monotonic() < until, "the trace never came to hold what is waited for"
        time.sleep(0.02)
    return trace


def is_read(trace: Trace) -> bool:
    """Whether every sensor has been read some times."""
    return bool(trace.readings) and all(len(each.time_ns) > 9 for each in trace.readings)


def record(start, path: Path, *meters: str, seconds: float = 0.4, **settings) -> Trace:
    recorder = start(*meters, **settings)
    time.sleep(seconds)
    recorder.stop()
    return read_trace(path)


def window_of(trace: Trace) -> tuple[int, int]:
    """A window well within the readings of every sensor, with its ends between two of them."""
    begin = max(int(each.time_ns[0]) for each in trace.readings)
    end = min(int(each.time_ns[-1]) for each in trace.readings)
    return begin + 7_000_000, end - 7_000_000


def test_counter_gives_the_known_energy_within_its_resolution(stand_in, start, trace) -> None:
    machine = stand_in(power_w=200, counter_update_ms=UPDATE_S * 1000)
    found = record(start, trace, "nvml", seconds=1.5)
    begin, end = window_of(found)
    drawn = curves(found)[0].between(begin, end)
    true_j = machine.gpus[0].truth_j(begin, end)
    assert true_j > 250
    assert drawn.energy_j == pytest.approx(true_j, abs=200 * (UPDATE_S + JITTER_S))
    assert drawn.coverage == 1


def test_counter_follows_a_power_that_changes(stand_in, start, trace) -> None:
    machine = stand_in(power_w=20, counter_update_ms=UPDATE_S * 1000)
    now_ns = time.monotonic_ns()
    square(machine.gpus[0], now_ns, now_ns + 60 * SECOND, 0.37, duty=0.3, high_w=300, low_w=20)
    found = record(start, trace, "nvml", seconds=1.5)
    begin, end = window_of(found)
    true_j = machine.gpus[0].truth_j(begin, end)
    assert 100 < true_j < 200
    drawn = curves(found)[0].between(begin, end)
    assert drawn.energy_j == pytest.approx(true_j, abs=300 * (UPDATE_S + JITTER_S))


def test_counter_is_read_beside_power_and_preferred(stand_in, start, trace) -> None:
    stand_in(power_w=200)
    found = record(start, trace, "nvml")
    assert [each.sensor.quantity for each in found.readings] == ["energy", "power"]
    assert [each.sensor.quantity for each in curves(found)] == ["energy"]


def test_without_counter_power_is_integrated(stand_in, start, trace) -> None:
    stand_in(power_w=200, counter_supported=0)
    found = record(start, trace, "nvml")
    begin, end = window_of(found)
    (curve,) = curves(found)
    assert curve.sensor.quantity == "power"
    assert curve.between(begin, end).energy_j == pytest.approx(200 * (end - begin) / SECOND)


@pytest.mark.parametrize("settings", [{}, {"counter_supported": 0}])
def test_stand_in_is_called_simulated(stand_in, start, trace, settings) -> None:
    stand_in(**settings)
    sources = {each.sensor.source for each in record(start, trace, "nvml").readings}
    assert sources == {"simulated"}


@pytest.mark.parametrize(
    ("driver", "quantity", "source"),
    [
        ("580.65.06", "energy", "counter"),
        (b"535.54", "power", "sampled"),
        ("stand-in 1.0", "energy", "simulated"),
        ("580.65-patched", "power", "simulated"),
    ],
)
def test_source_follows_from_driver_and_quantity(monkeypatch, driver, quantity, source) -> None:
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: driver)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda _handle: b"NVIDIA H200")
    sensor = nvml._sensor("GPU-1", None, quantity)
    assert (sensor.source, sensor.name) == (source, "NVIDIA H200")


def test_only_the_named_gpu_is_read(stand_in, start, trace) -> None:
    stand_in(power_w=[50, 300], counter_supported=0)
    found = record(start, trace, "nvml", gpus=(uuid(1),))
    begin, end = window_of(found)
    assert {each.sensor.device for each in found.readings} == {uuid(1)}
    drawn = total(curve.between(begin, end) for curve in curves(found))
    assert drawn.energy_j == pytest.approx(300 * (end - begin) / SECOND)


def test_all_gpus_add_up(stand_in, start, trace) -> None:
    stand_in(power_w=[50, 300], counter_supported=0)
    found = record(start, trace, "nvml", gpus=None)
    begin, end = window_of(found)
    drawn = total(curve.between(begin, end) for curve in curves(found))
    assert drawn.energy_j == pytest.approx(350 * (end - begin) / SECOND)


@pytest.mark.parametrize("code", [3, 15, 28, 999])
def test_gpu_lost_on_the_way_is_told(stand_in, start, trace, code) -> None:
    machine = stand_in(power_w=200, counter_update_ms=UPDATE_S * 1000)
    recorder = start("nvml")
    wait_for(trace, is_read)
    machine.fault(code, gpu=0)
    found = wait_for(trace, lambda read: all(each.failures > 9 for each in read.readings))
    end = time.monotonic_ns()
    recorder.stop()
    (curve,) = curves(found)
    first, last = found.readings[0].time_ns[[0, -1]]
    drawn = curve.between(int(first), end)
    assert 0 < drawn.coverage < 1
    known_j = machine.gpus[0].truth_j(int(first), int(last))
    assert drawn.energy_j == pytest.approx(known_j, abs=200 * (UPDATE_S + JITTER_S))
    errors = [line[3] for line in lines_of(trace) if isinstance(line, list) and line[2] is None]
    assert all(errors)
    assert "end" in lines_of(trace)[-1]


def test_other_gpu_goes_on_when_one_is_lost(stand_in, start, trace) -> None:
    machine = stand_in(power_w=[200, 50])
    recorder = start("nvml")
    wait_for(trace, is_read)
    machine.fault(15, gpu=0)
    wait_for(trace, lambda read: read.readings[0].failures > 9)
    recorder.stop()
    found = read_trace(trace)
    begin, end = window_of(Trace(found.readings[2:]))
    lost, other = (curve.between(begin, end) for curve in curves(found))
    assert other.coverage == 1
    assert lost.coverage == total([lost, other]).coverage < 1
    assert [each.failures > 0 for each in found.readings] == [True, True, False, False]


@pytest.mark.usefixtures("no_driver")
def test_without_driver_an_estimate_stands_in_and_a_note_says_why(start, trace) -> None:
    found = record(start, trace, "nvml", "estimate")
    assert found.notes == ("nvml: NVML Shared Library Not Found",)
    assert [curve.sensor.source for curve in curves(found)] == ["estimated"]


@pytest.mark.usefixtures("no_driver")
def test_without_any_sensor_nothing_is_claimed(start, trace) -> None:
    found = record(start, trace, "nvml")
    assert found.readings == ()
    assert total(curve.between(0, SECOND) for curve in curves(found)).coverage == 0


@pytest.mark.parametrize(
    ("gpus", "fault", "note"),
    [
        ((), None, "nvml: the run uses no GPU that NVML can read"),
        (("GPU-unknown",), None, "nvml: Not Found"),
        (None, (15, "", 0), "nvml: GPU is lost"),
        (None, (9, "nvmlInit"), "nvml: Driver Not Loaded"),
        (None, (3, "nvmlDeviceGetPower"), "nvml: the run uses no GPU that NVML can read"),
    ],
)
def test_a_note_says_why_no_gpu_is_read(stand_in, start, trace, gpus, fault, note) -> None:
    machine = stand_in(counter_supported=0)
    if fault:
        machine.fault(*fault)
    found = record(start, trace, "nvml", "estimate", gpus=gpus)
    assert found.notes == (note,)
    assert [curve.sensor.source for curve in curves(found)] == ["estimated"]


def test_estimate_never_joins_a_gpu(stand_in, start, trace) -> None:
    stand_in()
    found = record(start, trace, "nvml", "estimate")
    assert "estimated" in {each.sensor.source for each in found.readings}
    assert [curve.sensor.source for curve in curves(found)] == ["simulated"]
