"""What happens to the machine under a recording: suspended, set, full. It is flagged, and a gap."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from harness.energy.health import Health
from harness.energy.integration.windows import curves, total
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.trace import Trace, trace_of
from tests.energy.virtual import SECOND, Lines, VirtualSignals, gpu_meters
from tests.fakes.stand_in import StandIn

MINUTE = 60


class Full(Lines):
    """A log on a disk that is full for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def append(self, value: Any, *, durable: bool = False) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(value, durable=durable)


class Happening(VirtualSignals):
    """Lets something happen at a moment, and something else at a later one."""

    def __init__(self, machine: StandIn) -> None:
        super().__init__(machine, [])
        self.happens: list[tuple[int, Callable[[], None]]] = []

    def wait(self, until_ns: int) -> bool:
        if self.happens and self._machine.clock_ns >= self.happens[0][0]:
            self.happens.pop(0)[1]()
        return super().wait(until_ns)


def recorded(
    machine: StandIn, happens: Callable[[Happening, Full], list[tuple[float, Callable[[], None]]]]
) -> tuple[Trace, int, int]:
    """A minute's trace in which something happens at a second, and where that minute is."""
    log, signals = Full(), Happening(machine)
    meters = gpu_meters()
    log.append({"sensors": [m.sensor.to_json() for m in meters], "notes": [], "period_s": 0.05})
    recording = Recording(meters, [], TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(SECOND)
    begin_ns = machine.clock_ns
    end_ns = begin_ns + MINUTE * SECOND
    signals.happens = [(begin_ns + round(s * SECOND), what) for s, what in happens(signals, log)]
    signals.plan([begin_ns, end_ns], end_ns)
    recording.read()
    return trace_of(log.lines), begin_ns, end_ns


def drawn(trace: Trace, begin_ns: int, end_ns: int) -> Any:
    return total(c.between(begin_ns, end_ns) for c in curves(trace, (begin_ns, end_ns)))


@pytest.mark.parametrize("counter", [1, 0])
def test_a_full_disk_is_a_gap_with_its_reason(virtual, counter: int) -> None:
    machine = virtual(counter_supported=counter, noise=0.02)

    def happens(_signals: Happening, log: Full) -> list[tuple[float, Callable[[], None]]]:
        return [
            (20, lambda: setattr(log, "is_full", True)),
            (40, lambda: setattr(log, "is_full", False)),
        ]

    trace, begin_ns, end_ns = recorded(machine, happens)
    assert any("not written: No space left" in f for f in Health(trace, begin_ns, end_ns).flags)
    found = drawn(trace, begin_ns, end_ns)
    truth_j = machine.gpus[0].truth_j(begin_ns, end_ns)
    assert abs(found.energy_j - truth_j) <= found.uncertainty_j
    if counter:  # what it counted meanwhile is in its next reading
        assert found.coverage == pytest.approx(1, abs=0.01)
    else:
        assert found.coverage == pytest.approx(2 / 3, abs=0.02)
        assert found.gap_j > 0.1 * found.energy_j


def test_a_suspended_machine_is_reported(virtual) -> None:
    machine = virtual(counter_supported=0)

    def happens(signals: Happening, _log: Full) -> list[tuple[float, Callable[[], None]]]:
        return [(30, lambda: setattr(signals, "away_ns", 7200 * SECOND))]

    trace, begin_ns, end_ns = recorded(machine, happens)
    flags = Health(trace, begin_ns, end_ns).flags
    assert "the machine was suspended for 7200 s" in flags
    assert not any("clock was set" in flag for flag in flags)
    assert any("readings failed (the machine was suspended)" in flag for flag in flags)
    assert drawn(trace, begin_ns, end_ns).coverage < 1


@pytest.mark.parametrize(("step_s", "is_flagged"), [(3600, True), (-86400, True), (0.5, False)])
def test_a_wall_clock_that_is_set_changes_no_joule(
    virtual, step_s: float, is_flagged: bool
) -> None:
    def happens(signals: Happening, _log: Full) -> list[tuple[float, Callable[[], None]]]:
        return [(30, lambda: setattr(signals, "wall_ns", round(step_s * SECOND)))]

    machine = virtual()
    trace, begin_ns, end_ns = recorded(machine, happens)
    flags = Health(trace, begin_ns, end_ns).flags
    assert (f"the wall clock was set by {step_s:+.0f} s" in flags) == is_flagged
    found = drawn(trace, begin_ns, end_ns)
    assert found.coverage == pytest.approx(1)
    assert found.energy_j == pytest.approx(machine.gpus[0].truth_j(begin_ns, end_ns), rel=1e-3)


def test_undisturbed_nothing_is_reported(virtual) -> None:
    trace, begin_ns, end_ns = recorded(virtual(), lambda _signals, _log: [])
    assert Health(trace, begin_ns, end_ns).flags == []
