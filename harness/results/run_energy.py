"""Derives the energy of one run, window by window, over all its attempts and nodes.

Readings of several nodes are put on the first node's clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.energy.busy import Busy, BusyCurve
from harness.energy.health import Health
from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import EnergyCurve, curves, threads_in_use, total
from harness.energy.missed import Missed, missed
from harness.energy.sensors.base import Owner, Sensor
from harness.energy.trace import Readings, Trace, read_trace
from harness.results.folder import RunFolder
from harness.results.journal import LOST, Attempt, Journal, Window

_BESIDE: tuple[Owner, ...] = ("spare", "host", "machine", "part")


@dataclass(frozen=True)
class Entry:
    """One window with its energy.

    Attributes:
        window: Its beginning and end.
        label: The window's label, or "lost" if its work was not kept.
        joules: Its energy.
        threads_in_use: CPU time of the run's processes over its length; None if not recorded.
    """

    window: Window
    label: str
    joules: Joules
    threads_in_use: float | None = None

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return (self.window.end_ns - self.window.start_ns) * 1e-9


class Ledger:
    """The energy of one run, by window.

    Attributes:
        folder: The run's.
        journal: Its events.
        entries: All windows of all attempts, in order; they tile the attempts.
        notes: Why sensors are missing, and which records are damaged.
        health: How sensors and devices behaved, one per attempt.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.notes: list[str] = []
        if self.journal.damaged_lines:
            self.notes.append(f"journal: {self.journal.damaged_lines} damaged lines left out")
        self.health: list[Health] = []
        self.entries: list[Entry] = []
        self._curves: dict[int, list[EnergyCurve]] = {}
        self._beside: dict[str, list[Joules]] = {}
        self._drawn: dict[int, list[tuple[Sensor, Joules]]] = {}
        self._ends: dict[int, int] = {}
        self._busy: dict[int, BusyCurve] = {}
        for attempt in self.journal.attempts:
            trace = attempt_trace(folder, attempt)
            if damage := attempt.events[0].get("damage"):
                self.notes.append(f"attempt {attempt.number}: {damage}")
            self.notes += [note for note in trace.notes if note not in self.notes]
            last_ns = int(attempt.events[-1]["time_ns"])
            end_ns = last_ns if attempt.has_ended else max(last_ns, trace.end_ns)
            self._ends[attempt.number] = end_ns
            windows = attempt.windows(end_ns, attempt.restored)
            borders_ns = {attempt.start_ns, end_ns, *(window.start_ns for window in windows)}
            self._curves[attempt.number] = curves(trace, borders_ns)
            outer = (attempt.start_ns, end_ns)
            found = [(each.sensor, each.between(*outer)) for each in self._curves[attempt.number]]
            for owner in _BESIDE:
                for each in curves(trace, outer, owner):
                    if each.sensor.is_estimate:
                        continue  # a sum without its source must not hold a model's figures
                    whose = "machine" if each.sensor.is_of_machine else owner
                    found.append((each.sensor, each.between(*outer)))
                    self._beside.setdefault(whose, []).append(found[-1][1])
            self._drawn[attempt.number] = found
            if not self._curves[attempt.number] and trace.readings:
                self.notes.append(
                    f"attempt {attempt.number}: fewer than two readings; energy unknown"
                )
            self._busy[attempt.number] = BusyCurve(trace)
            self.health.append(Health(trace, attempt.start_ns, end_ns))
            self.entries += self._entries(attempt, windows, trace)

    def _entries(self, attempt: Attempt, windows: list[Window], trace: Trace) -> list[Entry]:
        starts_ns = [window.start_ns for window in windows]
        ends_ns = [window.end_ns for window in windows]
        devices = [each.windows(starts_ns, ends_ns) for each in self._curves[attempt.number]]
        drawn = [*map(total, zip(*devices, strict=True))] or [total([])] * len(windows)
        known = threads_in_use(trace, starts_ns, ends_ns)
        used: list[float | None] = [*known] if known else [None] * len(windows)
        return [
            Entry(window, self._label(attempt, window), joules, threads)
            for window, joules, threads in zip(windows, drawn, used, strict=True)
        ]

    def _label(self, attempt: Attempt, window: Window) -> str:
        return window.label if self.journal.kept(attempt, window.checkpoint) else LOST

    @cached_property
    def outer(self) -> Joules:
        """Every joule from each attempt's start to its end, summed over attempts."""
        return total(self.of_attempt(attempt) for attempt in self.journal.attempts)

    def beside(self, owner: Owner) -> float | None:
        """Joules of devices that were read beside the run's own; None if there were none.

        They are in no total: those of a host are also in the records of others that ran on it. A
        meter of the whole machine is the "machine", even if others used that meanwhile.
        """
        drawn = self._beside.get(owner)
        return total(drawn).energy_j if drawn else None

    @property
    def missed(self) -> Missed | None:
        """What the machine's measured parts miss of it, where both were read in every attempt.

        None of a run on several nodes: not each has a meter.
        """
        if self.journal.events("clocks"):
            return None
        each = [
            missed((sensor.kind, sensor.is_estimate, joules) for sensor, joules in drawn)
            for drawn in self._drawn.values()
        ]
        if not each or None in each:
            return None
        return missed(
            (sensor.kind, sensor.is_estimate, joules)
            for drawn in self._drawn.values()
            for sensor, joules in drawn
        )

    def gpu_busy(self, labels: Collection[str]) -> Busy:
        """How long the run's GPUs were busy in the windows with these labels."""
        found = Busy()
        for entry in self.entries:
            if entry.label in labels:
                window = entry.window
                curve = self._busy[window.attempt]
                found += curve.between(window.start_ns, window.end_ns)
        return found

    def of_attempt(self, attempt: Attempt) -> Joules:
        """The energy of one attempt."""
        end_ns = self._ends[attempt.number]
        return total(e.between(attempt.start_ns, end_ns) for e in self._curves[attempt.number])

    @property
    def duration_s(self) -> float:
        """Time worked, over all attempts."""
        attempts = self.journal.attempts
        return sum((self._ends[each.number] - each.start_ns) * 1e-9 for each in attempts)

    def end_ns(self, attempt: Attempt) -> int:
        """When an attempt's last window closes, on its own clock."""
        return self._ends[attempt.number]

    def spent_until(self, attempt: Attempt, time_ns: int) -> float:
        """Joules from the run's start to a moment of one attempt, earlier attempts included."""
        earlier = (
            self.of_attempt(each).energy_j
            for each in self.journal.attempts
            if each.number < attempt.number
        )
        now = math.fsum(
            curve.at(time_ns) - curve.at(attempt.start_ns) for curve in self._curves[attempt.number]
        )
        return sum(earlier) + now

    @property
    def sensors(self) -> list[Sensor]:
        """The sensors that make up the energy, one per device."""
        found = {
            curve.sensor.device: curve.sensor for each in self._curves.values() for curve in each
        }
        return list(found.values())


def attempt_trace(folder: RunFolder, attempt: Attempt) -> Trace:
    """The trace of an attempt; of several nodes, one trace with all their sensors.

    Each node has a recorder and a clock of its own. The clocks were compared when the attempt began
    and when it ended; between the two the offset is taken to grow linearly, as that of quartz
    clocks does. Events of the recorders of other nodes are left in their files.
    """
    trace = read_trace(folder.trace(attempt.number))
    seen: dict[int, list[dict[str, Any]]] = {}
    for event in attempt.events:
        if event["event"] == "clocks":
            for each in event["nodes"]:
                seen.setdefault(int(each["node"]), []).append(each)
    for node, offsets in sorted(seen.items()):
        trace = _joined(trace, read_trace(folder.trace(attempt.number, node)), node, offsets)
    return trace


def _joined(trace: Trace, other: Trace, node: int, offsets: list[dict[str, Any]]) -> Trace:
    """The first trace with the sensors of another node's added."""
    known = {each.sensor.device for each in trace.readings}
    before = len(trace.readings)
    missing = () if other.readings else (f"node {node}: no trace, so that its energy is missing",)
    return replace(
        trace,
        readings=(*trace.readings, *_moved(other.readings, node, offsets, known)),
        notes=(*trace.notes, *(f"node {node}: {note}" for note in other.notes), *missing),
        falsified={
            **trace.falsified,
            **{before + sensor: share for sensor, share in other.falsified.items()},
        },
    )


def _moved(
    readings: Iterable[Readings], node: int, offsets: list[dict[str, Any]], known: set[str]
) -> Iterable[Readings]:
    at_ns = np.array([each["time_ns"] for each in offsets], dtype=np.int64)
    ahead_ns = np.array([each["offset_ns"] for each in offsets], dtype=np.int64)

    def here(time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        # Relative to the first moment, since floats cannot hold nanoseconds of years.
        since = (time_ns - ahead_ns[0] - at_ns[0]).astype(np.float64)
        drift = np.interp(since, at_ns - at_ns[0], ahead_ns - ahead_ns[0])
        moved: NDArray[np.int64] = time_ns - ahead_ns[0] - np.round(drift).astype(np.int64)
        return moved

    for each in readings:
        device = each.sensor.device
        sensor = replace(each.sensor, device=f"node {node} {device}" if device in known else device)
        yield replace(
            each, sensor=sensor, time_ns=here(each.time_ns), failed_ns=here(each.failed_ns)
        )
