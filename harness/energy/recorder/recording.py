"""Records a run, from finding the sensors' rhythms to the last reading.

Every device is read by a `DeviceReader` beside the others, so that a slow driver, a device that
hangs or a machine with many boards does not blur when a counter moved. It knows no process, thread
or clock: `Signals` gives time and the run's signals, so that tests run days of it in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.energy.recorder.clock import Signals, Steps
from harness.energy.recorder.conditions import Neighbours, named
from harness.energy.recorder.device_reader import STATE_PERIOD_NS, DeviceReader
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors.base import Meter, Observer

SUSPENDED_NS = 100_000_000
"""A machine that was away for less was only slow."""
ABSENT_NS = 1_000_000_000
"""A recorder that wakes up later than this was stopped, or starved of CPU time."""
CLOCK_STEP_NS = 1_000_000_000
"""A wall clock that moved by more against the monotonic one was set, not steered."""
_LOOK_NS = 1_000_000_000
"""Time between two looks at whether every driver still answers."""
_AFTER_NS = 250_000_000
"""States are reported a little after they were read."""


class Recording:
    """Reads every meter into a trace until it is stopped."""

    def __init__(
        self,
        meters: Sequence[Meter],
        observers: Sequence[Observer],
        trace: TraceWriter,
        signals: Signals,
        period_ns: int,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._trace = trace
        self._signals = signals
        self._states: dict[str, dict[str, Any]] = {}
        self._next_state_ns = 0
        self._neighbours = neighbours
        self._looked_ns = self._seen_ns = signals.now_ns()
        self._clocks = signals.clocks()
        self._readers: dict[str, DeviceReader] = {}
        devices = [*(m.sensor.device for m in meters), *(each.device for each in observers)]
        for device in dict.fromkeys(devices):
            own = {n: m for n, m in enumerate(meters) if m.sensor.device == device}
            watching = [each for each in observers if each.device == device]
            self._readers[device] = DeviceReader(own, watching, trace, signals, period_ns)

    def get_to_know(self, idle_ns: int) -> None:
        """Find the counters' rhythms, and measure idle power; an estimate needs neither."""
        readers = self._readers
        self._run({device: each.learn() for device, each in readers.items()})
        for device, each in readers.items():
            if each.watches:
                self._trace.event({"settings": each.settings, "device": device})
        self._observe()
        rhythm = {str(n): s for each in readers.values() for n, s in sorted(each.rhythm.items())}
        self._trace.event({"rhythm": rhythm})
        measures = any(each.measures for each in readers.values())
        at_idle = None
        if measures and idle_ns:
            self._run({device: each.slow_down() for device, each in readers.items()})
            known = [each.at_idle for each in readers.values() if each.at_idle is not None]
            at_idle = all(known) if known else None
        start_ns = self._signals.now_ns()
        rest_ns = idle_ns if measures else 0
        self._run({device: each.rest(rest_ns) for device, each in readers.items()})
        if measures and idle_ns:
            idle = [start_ns, self._signals.now_ns()]
            self._trace.event({"idle": idle, "at_idle_clocks": at_idle})
        for each in readers.values():
            for number, loss in each.falsified.items():
                self._trace.event({"falsified": number, "loss": loss})
        self._seen_ns = self._signals.now_ns()

    def read(self) -> None:
        """Read at every sensor's pace until stopped, then until counters have caught up."""
        self._note_absence(self._seen_ns)
        self._run({d: each.read() for d, each in self._readers.items()}, until_stopped=True)
        self._observe()
        self._trace.release()
        self._trace.event({"end": self._signals.now_ns()}, durable=True)

    def _run(self, work: dict[str, Steps], *, until_stopped: bool = False) -> None:
        self._seen_ns = self._seen_ns if until_stopped else self._signals.now_ns()
        self._signals.run(work, self._watch(until_stopped=until_stopped))

    def _watch(self, *, until_stopped: bool) -> Steps:
        """Look after the devices while they are read; ends when only drivers that hang are left."""
        while True:
            now_ns = self._note_absence(self._seen_ns)
            due_ns = min(now_ns + _LOOK_NS, max(self._next_state_ns, now_ns))
            yield due_ns
            now_ns = self._note_absence(due_ns)
            # If this process did not run, it does not know whether a driver hangs.
            was_absent = now_ns - due_ns > ABSENT_NS
            hanging = [] if was_absent else [r for r in self._readers.values() if r.hangs(now_ns)]
            for each in hanging:
                each.lose(now_ns)
            if now_ns >= self._next_state_ns:
                self._observe()
            left = [each for each in self._readers.values() if not each.is_done]
            is_over = self._signals.stopped or not until_stopped
            if is_over and all(each in hanging for each in left):
                return

    def _note_absence(self, due_ns: int) -> int:
        """Record if this process did not run when it should have; the time now."""
        now_ns = self._signals.now_ns()
        if now_ns - due_ns > ABSENT_NS:
            self._trace.event({"absent": [due_ns, now_ns]})
        self._seen_ns = now_ns
        return now_ns

    def _observe(self) -> None:
        now_ns = self._signals.now_ns()
        self._next_state_ns = now_ns + STATE_PERIOD_NS
        self._watch_clocks(now_ns)
        for device, (time_ns, state) in self._look(now_ns).items():
            if state != self._states.get(device):
                self._trace.event({"state": state, "device": device, "time_ns": time_ns})
                self._states[device] = state

    def _look(self, now_ns: int) -> dict[str, tuple[int, dict[str, Any]]]:
        """By device, its state, and other processes on it."""
        states = {
            device: (now_ns, {}) if each.hangs(now_ns) else (each.state[0], dict(each.state[1]))
            for device, each in self._readers.items()
            if each.watches
        }
        current = {device: state for device, (_, state) in states.items()}
        others = self._neighbours.foreign(current) if self._neighbours else {}
        for device, processes in others.items():
            if processes:
                current[device]["foreign"] = named(processes)
        return states

    def _watch_clocks(self, now_ns: int) -> None:
        """Record if the machine was suspended, or its wall clock set, since the last look."""
        before, self._clocks = self._clocks, self._signals.clocks()
        away_ns = self._clocks.away_ns - before.away_ns
        step_ns = self._clocks.wall_ns - before.wall_ns - away_ns
        if away_ns > SUSPENDED_NS:
            self._trace.event({"suspended_s": away_ns * 1e-9, "between": [self._looked_ns, now_ns]})
            for each in self._readers.values():
                for number in each.meters:
                    # A failed reading marks a gap: power around it does not hold in between.
                    self._trace.reading(number, now_ns, None, "the machine was suspended")
        if abs(step_ns) > CLOCK_STEP_NS:
            self._trace.event(
                {"clock_step_s": step_ns * 1e-9, "between": [self._looked_ns, now_ns]}
            )
        self._looked_ns = now_ns
