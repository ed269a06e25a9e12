"""A trace as it was recorded: every sensor with its readings, and how the devices were doing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.energy.meter import Sensor
from harness.energy.trace_file import lines


@dataclass(frozen=True)
class Readings:
    """The readings of one sensor, failed ones left out.

    Attributes:
        sensor: What was read.
        time_ns: Monotonic clock, shape (readings,), rising.
        value: J or W, shape (readings,).
        failed_ns: When readings failed, shape (failures,).
    """

    sensor: Sensor
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    failed_ns: NDArray[np.int64]

    @property
    def time_s(self) -> NDArray[np.float64]:
        """The same moments in seconds; exact to a tenth of a nanosecond for weeks of uptime."""
        return self.time_ns.astype(np.float64) * 1e-9

    @property
    def failures(self) -> int:
        """How many readings failed, of those on file."""
        return len(self.failed_ns)


@dataclass(frozen=True)
class Trace:
    """What the recorder of one attempt wrote.

    Attributes:
        readings: A value a sensor.
        notes: Why sensors are missing.
        period_s: The time between readings that was asked for.
        idle_ns: From when to when idle power was measured before the run.
        falsified: By sensor number, the share of energy that a counter loses when read closely.
        told: Everything else the recorder wrote, in order: settings and states of devices.
    """

    readings: tuple[Readings, ...] = ()
    notes: tuple[str, ...] = ()
    period_s: float = 0.0
    idle_ns: tuple[int, int] | None = None
    falsified: dict[int, float] = field(default_factory=dict)
    told: tuple[dict[str, Any], ...] = ()

    @property
    def end_ns(self) -> int:
        """The last moment at which any sensor was read."""
        ends = (int(each.time_ns[-1]) for each in self.readings if len(each.time_ns))
        return max(ends, default=0)


def read_trace(path: Path) -> Trace:
    """The trace in `path`, or packed beside it; an empty one where there is none.

    Of several recorders in one file the last one counts: an attempt that died before its first
    event leaves its file to the next.
    """
    return trace_of(lines(path))


def trace_of(said: Iterable[Any]) -> Trace:
    """The trace that these lines make, from a file or from elsewhere."""
    header: dict[str, Any] = {}
    told: list[dict[str, Any]] = []
    columns: defaultdict[int, _Columns] = defaultdict(_Columns)
    for line in said:
        if isinstance(line, list):
            columns[line[0]].add(line)
        elif "sensors" in line:
            header, told = line, []
            columns.clear()
        else:
            told.append(line)
    if not header:
        return Trace()
    rhythm: dict[str, float] = next((line["rhythm"] for line in told if "rhythm" in line), {})
    idle = next((tuple(line["idle"]) for line in told if "idle" in line), None)
    return Trace(
        readings=tuple(
            columns[number].readings(_timed(Sensor.from_json(sensor), rhythm.get(str(number))))
            for number, sensor in enumerate(header["sensors"])
        ),
        notes=tuple(header["notes"]),
        period_s=header["period_s"],
        idle_ns=idle,
        falsified={line["falsified"]: line["loss"] for line in told if "falsified" in line},
        told=tuple(told),
    )


def _timed(sensor: Sensor, update_s: float | None) -> Sensor:
    """The sensor with its update period as the recorder found it."""
    return sensor if update_s is None else replace(sensor, update_s=update_s)


class _Columns:
    """The readings of one sensor while they are gathered."""

    def __init__(self) -> None:
        self._time_ns: list[int] = []
        self._value: list[float] = []
        self._failed_ns: list[int] = []

    def add(self, line: list[Any]) -> None:
        if line[2] is None:
            self._failed_ns.append(line[1])
        else:
            self._time_ns.append(line[1])
            self._value.append(line[2])

    def readings(self, sensor: Sensor) -> Readings:
        return Readings(
            sensor=sensor,
            time_ns=np.array(self._time_ns, dtype=np.int64),
            value=np.array(self._value, dtype=np.float64),
            failed_ns=np.array(self._failed_ns, dtype=np.int64),
        )
