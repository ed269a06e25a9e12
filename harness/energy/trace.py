"""Reads a trace: every sensor with its readings, and the events that the recorder noted.

A trace that is still recorded is read line by line; a packed one as blocks of arrays, without a
Python object per reading.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.update_period import update_period_s
from harness.energy.sensors.base import Sensor
from harness.energy.trace_file import batches, is_packed, lines

MAX_SENSORS = 10_000
NOT_IDLE = "idle power was read at working clocks, so it is not the card's idle but more"
"""The note of a recording before which a GPU did not slow down."""


@dataclass(frozen=True, eq=False)
class Readings:
    """The readings of one sensor, failed ones left out.

    Attributes:
        sensor: What was read.
        time_ns: Monotonic clock, shape (readings,), rising.
        value: J or W, shape (readings,).
        failed_ns: When readings failed, shape (failures,).
        why: Why they failed, each reason once, where the trace says.
    """

    sensor: Sensor
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    failed_ns: NDArray[np.int64]
    why: tuple[str, ...] = ()

    @property
    def time_s(self) -> NDArray[np.float64]:
        """The same moments in seconds; exact to a tenth of a nanosecond for weeks of uptime."""
        return self.time_ns.astype(np.float64) * 1e-9

    @cached_property
    def update_period_s(self) -> float | None:
        """Time between two updates of the sensor, if these readings show it."""
        return update_period_s(self.time_ns, self.value)

    def part(self, first: int, end: int) -> Readings:
        """The readings from one on to before another; of all of them, these themselves."""
        if (first, end) == (0, len(self.time_ns)):
            return self
        chosen = slice(first, end)
        return replace(self, time_ns=self.time_ns[chosen], value=self.value[chosen])

    @property
    def failures(self) -> int:
        """How many readings failed, of those on file."""
        return len(self.failed_ns)


@dataclass(frozen=True)
class Trace:
    """What the recorder of one attempt wrote.

    Attributes:
        readings: One value per sensor.
        notes: Why sensors are missing.
        period_s: The time between readings that was asked for.
        idle_ns: From when to when idle power was measured before the run.
        falsified: By sensor number, the share of energy that a counter loses when read closely.
        irregular: Numbers of the counters whose rhythm the recorder looked for and did not find.
        events: All lines that are no readings, in order: settings and states of devices.
    """

    readings: tuple[Readings, ...] = ()
    notes: tuple[str, ...] = ()
    period_s: float = 0.0
    idle_ns: tuple[int, int] | None = None
    falsified: dict[int, float] = field(default_factory=dict)
    irregular: frozenset[int] = frozenset()
    events: tuple[dict[str, Any], ...] = ()

    @property
    def absent_ns(self) -> list[tuple[int, int]]:
        """From when to when the recorder did not run, though it lived, in order."""
        return [tuple(each["absent"]) for each in self.events if "absent" in each]

    @property
    def end_ns(self) -> int:
        """The last moment at which any sensor was read."""
        ends = (int(each.time_ns[-1]) for each in self.readings if len(each.time_ns))
        return max(ends, default=0)


def read_trace(path: Path) -> Trace:
    """The trace in `path`, or packed beside it; an empty one where there is none.

    If several recorders wrote to the file, the last one counts: an attempt that died before its
    first event leaves its file to the next.
    """
    try:
        if not is_packed(path):
            return trace_of(lines(path))
        gathered = _Gathered()
        for block in blocks(path):
            gathered.add_block(block)
        return gathered.trace()
    except Exception as error:  # noqa: BLE001 - a file from anywhere, read by libraries
        return Trace(notes=(f"{path.stem}: damaged, left out ({type(error).__name__})",))


def trace_of(records: Iterable[Any]) -> Trace:
    """The trace that these lines make, from a file or from elsewhere."""
    gathered = _Gathered()
    for line in records:
        if isinstance(line, list):
            gathered.add_reading(line)
        else:
            gathered.add_event(line)
    return gathered.trace()


class _Gathered:
    """A trace while it is read."""

    def __init__(self) -> None:
        self._header: dict[str, Any] = {}
        self._events: list[dict[str, Any]] = []
        self._damaged = 0
        self._columns: defaultdict[int, _Columns] = defaultdict(_Columns)

    def add_event(self, line: Any) -> None:
        """Add a line that is no reading."""
        if not isinstance(line, dict):
            self._damaged += 1
        elif "sensors" in line:
            self._header, self._events = line, []
            self._columns.clear()
        else:
            self._events.append(line)

    def add_reading(self, line: list[Any]) -> None:
        """Add one reading."""
        if _is_reading(line):
            sensor, time_ns, value, *why = line
            known = value is not None and math.isfinite(value)
            self._columns[sensor].add(time_ns, value if known else None, *why)
        else:
            self._damaged += 1

    def add_block(self, block: Block) -> None:
        """Add many rows at once."""
        first = 0
        for row, line in block.events.items():
            self.add_event(line)
            first = row + 1 if isinstance(line, dict) and "sensors" in line else first
        sensor = block.sensor[first:]
        for number in np.unique(sensor[sensor != NO_SENSOR]).tolist():
            own = first + np.flatnonzero(sensor == number)
            failed = block.failed[own]
            good = own[~failed]
            self._columns[number].extend(
                block.time_ns[good],
                block.value[good],
                block.time_ns[own[failed]],
                block.why[number],
            )

    def trace(self) -> Trace:
        """What was read; empty without a header."""
        header, events = self._header, self._events
        if not header:
            return Trace()
        damaged = [f"trace: {self._damaged} damaged lines left out"] if self._damaged else []
        rhythm: dict[str, float] = {}
        for line in events:
            rhythm |= line.get("rhythm", {})
        idle = next((tuple(line["idle"]) for line in events if "idle" in line), None)
        at_work = any(line.get("at_idle_clocks") is False for line in events)
        sensors = [Sensor.from_json(each) for each in header["sensors"]]
        falsified = {line["falsified"]: line["loss"] for line in events if "falsified" in line}
        looked_for = any("rhythm" in line for line in events)
        irregular = frozenset(
            n
            for n, sensor in enumerate(sensors)
            if looked_for
            and sensor.is_stepped_counter
            and str(n) not in rhythm
            and n not in falsified
        )
        return Trace(
            readings=tuple(
                self._columns[n].readings(_timed(sensor, rhythm.get(str(n))))
                for n, sensor in enumerate(sensors)
            ),
            notes=(*map(str, header["notes"]), *damaged, *([NOT_IDLE] if at_work else [])),
            period_s=header["period_s"],
            idle_ns=idle,
            falsified=falsified,
            irregular=irregular,
            events=tuple(events),
        )


def _is_reading(line: list[Any]) -> bool:
    """Whether a line is a well-formed reading: sensor, moment, and a value or the error."""
    if len(line) not in (3, 4):
        return False
    sensor, time_ns, value, *why = line
    return (
        type(sensor) is type(time_ns) is int
        and 0 <= sensor < MAX_SENSORS
        and 0 <= time_ns < 2**63
        and (value is None or type(value) is float or (type(value) is int and abs(value) < 2**63))
        and all(isinstance(each, str) for each in why)
    )


def _timed(sensor: Sensor, update_s: float | None) -> Sensor:
    """The sensor with its update period as the recorder found it."""
    return sensor if update_s is None else replace(sensor, update_s=update_s)


class _Columns:
    """The readings of one sensor while they are gathered."""

    def __init__(self) -> None:
        # Compact arrays: a list of Python numbers takes five times the memory.
        self._time_ns = array("q")
        self._value = array("d")
        self._failed_ns = array("q")
        self._why: dict[str, None] = {}

    def add(self, time_ns: int, value: float | None, why: str | None = None) -> None:
        """Add one reading; without a value it failed."""
        if value is None:
            self._failed_ns.append(time_ns)
            self._why |= {why: None} if why else {}
        else:
            self._time_ns.append(time_ns)
            self._value.append(value)

    def extend(
        self,
        time_ns: NDArray[np.int64],
        value: NDArray[np.float64],
        failed_ns: NDArray[np.int64],
        why: Iterable[str],
    ) -> None:
        """Add many readings."""
        self._why |= dict.fromkeys(why)
        self._time_ns.frombytes(time_ns.tobytes())
        self._value.frombytes(value.tobytes())
        self._failed_ns.frombytes(failed_ns.tobytes())

    def readings(self, sensor: Sensor) -> Readings:
        """All of them, ordered by time, whatever the order in the file."""
        time_ns = np.array(self._time_ns, dtype=np.int64)
        value = np.array(self._value, dtype=np.float64)
        if (np.diff(time_ns) < 0).any():
            order = np.argsort(time_ns, kind="stable")
            time_ns, value = time_ns[order], value[order]
        return Readings(
            sensor=sensor,
            time_ns=time_ns,
            value=value,
            failed_ns=np.array(self._failed_ns, dtype=np.int64),
            why=tuple(self._why),
        )


N = TypeVar("N", bound=np.generic)

NO_SENSOR = -1
"""In place of the sensor's number, for a line that is no reading."""


@dataclass(frozen=True)
class Block:
    """Rows of a packed trace that follow each other.

    Attributes:
        sensor: Number of the sensor, or `NO_SENSOR`, shape (rows,).
        time_ns: Monotonic clock, shape (rows,); meaningless where `sensor` is `NO_SENSOR`.
        value: J or W, shape (rows,).
        failed: Whether the reading failed, so that there is no value, shape (rows,).
        events: Lines that are no readings, by row.
        why: By sensor, why readings failed, each reason once.
    """

    sensor: NDArray[np.int16]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    failed: NDArray[np.bool_]
    events: dict[int, Any]
    why: defaultdict[int, list[str]]


def blocks(trace: Path) -> Iterator[Block]:
    """The rows of a packed trace, without a Python object per reading."""
    for batch in batches(trace):
        sensor, time_ns, value, text = batch.columns
        is_event = _is_null(sensor)
        why: defaultdict[int, list[str]] = defaultdict(list)
        for row in np.flatnonzero(~is_event & ~_is_null(text)).tolist():
            if (reason := text[row].as_py()) not in why[sensor[row].as_py()]:
                why[sensor[row].as_py()].append(reason)
        yield Block(
            sensor=np.where(is_event, NO_SENSOR, _values(sensor, np.int16)),
            time_ns=_values(time_ns, np.int64),
            value=_values(value, np.float64),
            failed=_is_null(value) | ~np.isfinite(_values(value, np.float64)),
            events={
                row: json.loads(text[row].as_py()) for row in np.flatnonzero(is_event).tolist()
            },
            why=why,
        )


def _values(column: Any, kind: type[N]) -> NDArray[N]:
    """A column's numbers; any number where there is none."""
    # As pyarrow keeps them: its own `to_numpy` imports pandas, which takes longer than reading.
    whole = np.frombuffer(column.buffers()[1], kind)
    return whole[column.offset : column.offset + len(column)]


def _is_null(column: Any) -> NDArray[np.bool_]:
    """Where a column has no value."""
    bitmap = column.buffers()[0]
    if bitmap is None:
        return np.zeros(len(column), dtype=np.bool_)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    missing: NDArray[np.bool_] = bits[column.offset : column.offset + len(column)] == 0
    return missing
