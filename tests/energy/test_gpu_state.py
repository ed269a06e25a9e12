"""Events of a card: its settings, and its state whenever that changes."""

from __future__ import annotations

import os
from importlib.metadata import version

import pynvml
import pytest

from harness.energy.recorder.device_reader import STATE_PERIOD_NS
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from tests.energy.conftest import BEGINS_NS
from tests.energy.virtual import SECOND, Lines, VirtualSignals
from tests.fakes.stand_in import StandIn


def observers() -> list:
    return nvml.find(MeterSetup(os.getpid(), None, 4.0, "")).observers


def observed(machine: StandIn, seconds: float) -> list[dict]:
    """The events that a recorder writes in some seconds, without readings."""
    found = nvml.find(MeterSetup(os.getpid(), None, 4.0, ""))
    log, signals = Lines(), VirtualSignals(machine, [])
    recording = Recording(found.meters, found.observers, TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(0)
    signals.plan([], machine.clock_ns + round(seconds * SECOND))
    recording.read()
    return [line for line in log.lines if isinstance(line, dict)]


def test_settings_are_those_of_the_card(virtual) -> None:
    virtual(power_limit_default_w=350, ecc_mode=0, mig=0, clock_max_mhz=1980, compute_mode=3)
    (observer,) = observers()
    assert observer.settings() == {
        "driver": "stand-in 2.0",
        "nvidia-ml-py": version("nvidia-ml-py"),
        "architecture": 7,
        "default_power_limit_w": 350.0,
        "max_sm_clock_mhz": 1980,
        "max_memory_clock_mhz": 1215,
        "persistence_mode": True,
        "compute_mode": 3,
        "ecc": False,
        "mig": False,
    }


def test_state_is_that_of_the_card(virtual) -> None:
    machine = virtual(temperature_c=61, clock_mhz=900, power_limit_enforced_w=250)
    machine.gpus[0].processes = {70: 1, 12: 1}
    (observer,) = observers()
    assert observer.state() == {
        "temperature_c": 61,
        "sm_clock_mhz": 900,
        "memory_clock_mhz": 1215,
        "utilisation_percent": 95,
        "throttling": [],
        "power_limit_w": 250.0,
        "processes": [12, 70],
    }


@pytest.mark.parametrize("event_reasons_supported", [1, 0])
@pytest.mark.parametrize(
    ("reasons", "named"),
    [
        (pynvml.nvmlClocksEventReasonGpuIdle, []),
        (pynvml.nvmlClocksEventReasonSwPowerCap, ["power cap"]),
        (0x20 | 0x40, ["thermal (software)", "thermal (hardware)"]),
        (0x8 | 0x80, ["hardware slowdown", "power brake"]),
    ],
)
def test_throttling_is_named_by_old_and_new_drivers(
    virtual, event_reasons_supported, reasons, named
) -> None:
    virtual(throttle_reasons=reasons, event_reasons_supported=event_reasons_supported)
    (observer,) = observers()
    assert observer.state()["throttling"] == named


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        ("nvmlDeviceGetTemperature", "temperature_c"),
        ("nvmlDeviceGetUtilizationRates", "utilisation_percent"),
        ("nvmlDeviceGetComputeRunningProcesses", "processes"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_nothing_else(virtual, call, missing) -> None:
    machine = virtual()
    (observer,) = observers()
    whole = observer.state()
    machine.fault(3, call)
    assert observer.state() == {key: each for key, each in whole.items() if key != missing}
    machine.clear_faults()
    machine.fault(15, gpu=0)
    assert observer.state() == {}
    assert set(observer.settings()) == {"driver", "nvidia-ml-py"}


def test_settings_are_reported_once_and_a_state_when_it_changes(virtual) -> None:
    machine = virtual(gpus=2)
    events = observed(machine, 60)
    assert len([line for line in events if "settings" in line]) == 2
    states = [line for line in events if "state" in line]
    assert {line["device"] for line in states} == {gpu.uuid for gpu in machine.gpus}
    assert len(states) == 2


def test_a_change_of_state_is_reported_within_the_period_and_of_that_card_alone(virtual) -> None:
    machine = virtual(gpus=2)
    changed: list[int] = []
    now_ns = VirtualSignals.now_ns

    class Warming(VirtualSignals):
        def now_ns(self) -> int:
            if not changed and now_ns(self) > BEGINS_NS + 20 * SECOND:
                changed.append(machine.clock_ns)
                machine.gpus[1].temperature_c = 77
            return now_ns(self)

    found = nvml.find(MeterSetup(os.getpid(), None, 4.0, ""))
    log, signals = Lines(), Warming(machine, [])
    recording = Recording([], found.observers, TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(0)
    signals.plan([], BEGINS_NS + 60 * SECOND)
    recording.read()
    last = [line for line in log.lines if "state" in line][-1]
    assert (last["device"], last["state"]["temperature_c"]) == (machine.gpus[1].uuid, 77)
    assert 0 <= last["time_ns"] - changed[0] <= STATE_PERIOD_NS + SECOND
    assert len([line for line in log.lines if "state" in line]) == 3
