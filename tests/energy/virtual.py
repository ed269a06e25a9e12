"""The recorder in virtual time: hours of a stand-in GPU recorded in seconds, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.energy.recorder.clock import Clocks, Steps
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import Meter, MeterSetup
from harness.energy.trace import Trace, trace_of
from tests.fakes.stand_in import StandIn

SECOND = 1_000_000_000
READ_NS = 20_000
"""What one reading takes."""


class Lines:
    """A log that is kept in memory."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def append(self, value: Any, *, durable: bool = False) -> None:
        del durable
        self.lines.append(value)


class VirtualSignals:
    """Moves the machine's clock on instead of waiting; borders and the end come as planned."""

    def __init__(self, machine: StandIn, borders_ns: Iterable[int], latency_ns: int = 300_000):
        self._machine = machine
        self._borders_ns = sorted(borders_ns)
        self._latency_ns = latency_ns
        self.stop_ns: int | None = None
        self.away_ns = 0
        self.wall_ns = 0

    def plan(self, borders_ns: Iterable[int], stop_ns: int) -> None:
        """Announce these borders, and stop then."""
        self._borders_ns = sorted(borders_ns)
        self.stop_ns = stop_ns

    @property
    def stopped(self) -> bool:
        """Whether the run is over."""
        return self.stop_ns is not None and self._machine.clock_ns >= self.stop_ns

    def now_ns(self) -> int:
        """The machine's clock, which advances a little with every look."""
        self._machine.clock_ns += READ_NS // 2
        return self._machine.clock_ns

    def clocks(self) -> Clocks:
        """As if it had never been suspended, nor its clock set, unless a test says so."""
        return Clocks(self.away_ns, self.away_ns + self.wall_ns)

    def run(self, work: Mapping[str, Steps], watch: Steps) -> None:
        """All work at once: each has a clock of its own, which its calls move on."""
        machine = self._machine
        jobs = [_Job(each, machine.clock_ns) for each in (*work.values(), watch)]
        for each in jobs:
            each.go_on(machine)
        was_stopped = self.stopped
        while not jobs[-1].is_done and not all(each.is_done for each in jobs[:-1]):
            is_border = self.wait(min(each.next_ns for each in jobs if not each.is_done))
            is_end = self.stopped and not was_stopped
            was_stopped = self.stopped
            for each in jobs:
                if is_border or is_end:
                    each.is_border |= is_border
                    each.due_ns = machine.clock_ns
                if not each.is_done and each.next_ns <= machine.clock_ns:
                    each.go_on(machine, self.late_ns())
        machine.clock_ns = max(machine.clock_ns, *(each.free_ns for each in jobs[:-1]), 0)

    def late_ns(self) -> int:
        """How much later than asked a thread resumes."""
        return 0

    def wait(self, until_ns: int) -> bool:
        """Jump to the next border, the stop or `until_ns`, whichever comes first."""
        now_ns = self._machine.clock_ns
        border_ns = self._borders_ns[0] + self._latency_ns if self._borders_ns else None
        ends = [until_ns, border_ns, None if self.stopped else self.stop_ns]
        self._machine.clock_ns = max(now_ns, min(end for end in ends if end is not None))
        if border_ns is not None and self._machine.clock_ns >= border_ns:
            self._borders_ns.pop(0)
            return True
        return False


@dataclass
class _Job:
    """Work that is done beside other work."""

    steps: Steps
    free_ns: int
    due_ns: int = 0
    is_border: bool = False
    is_done: bool = False
    begun: bool = False

    @property
    def next_ns(self) -> int:
        """When it resumes."""
        return max(self.due_ns, self.free_ns)

    def go_on(self, machine: StandIn, late_ns: int = 0) -> None:
        """Do the next step at the work's own time."""
        now_ns = machine.clock_ns
        machine.clock_ns = max(now_ns, self.free_ns) + late_ns
        try:
            self.due_ns = self.steps.send(self.is_border) if self.begun else next(self.steps)
        except StopIteration:
            self.is_done = True
        self.begun, self.is_border = True, False
        self.free_ns, machine.clock_ns = machine.clock_ns, now_ns


def gpu_meters(process_id: int = 1) -> list[Meter]:
    """The meters of the loaded machine's GPUs."""
    return nvml.find(MeterSetup(process_id, None, 4.0, "")).meters


def record(
    machine: StandIn,
    meters: Sequence[Meter],
    borders_ns: Sequence[int],
    *,
    period_s: float = 0.05,
    idle_s: float = 2.0,
    signals: VirtualSignals | None = None,
) -> tuple[Trace, list[Any]]:
    """Record until the last border, beginning in time to know the sensors by the first.

    Returns:
        The trace, and its lines.
    """
    log = Lines()
    signals = signals or VirtualSignals(machine, [])
    header = {"sensors": [m.sensor.to_json() for m in meters], "notes": [], "period_s": period_s}
    log.append(header)
    recording = Recording(meters, [], TraceWriter(log), signals, round(period_s * SECOND))
    recording.get_to_know(round(idle_s * SECOND))
    signals.plan(borders_ns, borders_ns[-1] + READ_NS)
    recording.read()
    return trace_of(log.lines), log.lines
