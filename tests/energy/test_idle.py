"""Idle power is that of a card at idle clocks, or the record says that it is not."""

from __future__ import annotations

import pynvml
import pytest

from harness.energy.health import Health
from harness.energy.recorder.device_reader import MAX_WAIT_NS
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import NOT_IDLE, Trace, trace_of
from tests.energy.conftest import BEGINS_NS, Pretend
from tests.energy.virtual import SECOND, Lines, VirtualSignals

WORKING_W, IDLE_W = 115.0, 75.0
IDLE = pynvml.nvmlClocksEventReasonGpuIdle


class _Cooling(VirtualSignals):
    """A card that goes to idle clocks some time after its warm-up."""

    slows_down_s = 0.0

    def now_ns(self) -> int:
        gpu = self._machine.gpus[0]
        if super().now_ns() > BEGINS_NS + self.slows_down_s * SECOND and gpu.throttle_reasons == 0:
            gpu.throttle_reasons = IDLE
            gpu.draw(IDLE_W)
        return super().now_ns()


def recorded(virtual: Pretend, slows_down_s: float, idle_s: float = 2.0, **more: float) -> Trace:
    """A recording of which the idle power is read after a warm-up; its first moment."""
    machine = virtual(power_w=WORKING_W, throttle_reasons=0, **more)
    found = nvml.find(MeterSetup(1, None, 4.0, ""))
    log, signals = Lines(), _Cooling(machine, [])
    signals.slows_down_s = slows_down_s
    header = {"sensors": [m.sensor.to_json() for m in found.meters], "notes": [], "period_s": 0.05}
    log.append(header)
    recording = Recording(found.meters, found.observers, TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(round(idle_s * SECOND))
    signals.plan([], machine.clock_ns + 2 * SECOND)
    recording.read()
    return trace_of(log.lines)


def idle_w(trace: Trace) -> float:
    [watts] = Health(trace, BEGINS_NS, trace.end_ns).idle.values()
    return watts


@pytest.mark.parametrize("slows_down_s", [0.0, 3.0, 7.0])
@pytest.mark.parametrize("event_reasons_supported", [1, 0])
def test_idle_power_is_read_at_idle_clocks(
    virtual: Pretend, slows_down_s: float, event_reasons_supported: int
) -> None:
    trace = recorded(virtual, slows_down_s, event_reasons_supported=event_reasons_supported)
    assert idle_w(trace) == pytest.approx(IDLE_W, rel=0.01)
    assert trace.notes == ()


def test_a_card_that_stays_at_working_clocks_is_not_called_idle(virtual: Pretend) -> None:
    trace = recorded(virtual, slows_down_s=1000)
    assert idle_w(trace) == pytest.approx(WORKING_W, rel=0.01)
    assert trace.notes == (NOT_IDLE,)
    assert trace.idle_ns is not None
    assert MAX_WAIT_NS <= trace.idle_ns[0] - BEGINS_NS <= MAX_WAIT_NS + 2 * SECOND


def test_where_nothing_is_measured_idle_nothing_waits(virtual: Pretend) -> None:
    trace = recorded(virtual, slows_down_s=1000, idle_s=0)
    assert trace.idle_ns is None
    assert trace.notes == ()
    assert int(trace.readings[0].time_ns[-1]) - BEGINS_NS < 8 * SECOND


def test_a_card_that_does_not_say_is_not_waited_for(virtual: Pretend) -> None:
    machine = virtual()
    machine.fault(3, "nvmlDeviceGetCurrentClocks")
    [observer] = nvml.find(MeterSetup(1, None, 4.0, "")).observers
    assert observer.is_idle() is None  # type: ignore[attr-defined]
