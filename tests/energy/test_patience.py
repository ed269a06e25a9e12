"""A driver that hangs, fails or is absurd: the other sensors are read on, and the recorder ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.energy.recorder.recording import Recording
from harness.energy.recorder.timeouts import NO_ANSWER, DriverThread, found, patient
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors.base import Found, Meter, MeterSetup, Sensor, SensorError
from harness.energy.trace import read_trace, trace_of
from tests.energy.traces import sensor
from tests.energy.virtual import SECOND, Lines, VirtualSignals

SETUP = MeterSetup(1, (), 4.0, "")


class Asked:
    """A meter that answers as given."""

    def __init__(self, device: str, answer: Callable[[], float]) -> None:
        self.sensor: Sensor = sensor("power", "sampled", device=device)
        self.read = answer


def test_an_answer_and_an_error_pass_through() -> None:
    desk = DriverThread("test")
    assert desk.ask(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        desk.ask(lambda: 1 / 0)
    assert desk.ask(lambda: 8) == 8


def test_while_a_question_hangs_others_fail_at_once_and_then_it_goes_on() -> None:
    desk, goes_on = DriverThread("test"), threading.Event()
    with pytest.raises(SensorError, match=NO_ANSWER):
        desk.ask(goes_on.wait, timeout_s=0.01)
    asked: list[int] = []
    with pytest.raises(SensorError, match=NO_ANSWER):
        desk.ask(lambda: asked.append(1), timeout_s=60)
    assert asked == []
    goes_on.set()
    ends = time.monotonic() + 60
    while True:
        try:
            answer = desk.ask(lambda: 9)
        except SensorError:
            assert time.monotonic() < ends
        else:
            assert answer == 9  # and not what was asked before
            return


class Watching:
    """An observer that answers as given."""

    def __init__(self, device: str, answer: Callable[[], dict]) -> None:
        self.device = device
        self.settings = self.state = answer


def test_one_device_that_hangs_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    hanging = Watching("GPU-0", lambda: {"answered": never.wait()})
    first, second = patient([hanging, Watching("GPU-1", lambda: {"temperature_c": 40})])
    with monkeypatch.context() as impatient:
        impatient.setattr(DriverThread.ask, "__defaults__", (0.01,))
        assert first.state() == {}
    assert second.state() == {"temperature_c": 40}
    never.set()


def test_finders_that_raise_or_hang_become_notes() -> None:
    def raises(_setup: MeterSetup) -> Found:
        raise RuntimeError("no such thing")

    never = threading.Event()

    def hangs(_setup: MeterSetup) -> Found:
        never.wait()
        return Found([])

    assert found("nvml", raises, SETUP).notes == ("nvml: RuntimeError: no such thing",)
    assert found("nvml", hangs, SETUP, timeout_s=0.01).notes == (f"nvml: {NO_ANSWER}",)
    never.set()


ANSWERS = {
    "raises": (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    "no number": (lambda: float("nan"), "the sensor returned nan"),
    "without end": (lambda: float("inf"), "the sensor returned inf"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_whatever_a_sensor_does_recording_goes_on(kind: str, virtual) -> None:
    answer, why = ANSWERS[kind]
    meters: list[Meter] = [Asked("GPU-0", answer), Asked("GPU-1", lambda: 100.0)]
    log, signals = Lines(), VirtualSignals(virtual(), [])
    log.append({"sensors": [m.sensor.to_json() for m in meters], "notes": [], "period_s": 0.05})
    recording = Recording(meters, [Broken()], TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(0)
    signals.plan([], signals.now_ns() + SECOND)
    recording.read()
    bad, good = trace_of(log.lines).readings
    assert len(bad.value) == 0
    assert bad.failures > 0
    assert bad.why == (why,)
    assert len(good.value) > 1


class Broken:
    """An observer that raises."""

    device = "GPU-0"

    def settings(self) -> dict:
        raise ValueError("settings")

    def state(self) -> dict:
        raise ValueError("state")


def test_a_driver_that_hangs_under_way_costs_its_readings_and_nothing_else(
    stand_in, start, trace: Path
) -> None:
    """Through the real recorder: it is ended while the driver still hangs."""
    machine = stand_in(gpus=1)
    recorder = start("nvml", "estimate")
    machine.fault(0, "nvmlDevice", hang_ms=600_000)
    recorder.stop()
    readings = read_trace(trace).readings
    [estimate, *_] = [each for each in readings if each.sensor.source == "estimated"]
    for each in readings:
        if each.sensor.kind == "gpu":
            assert NO_ANSWER in each.why
    assert estimate.failures == 0
    assert len(estimate.value) > 1
