"""A trace as it was recorded: every sensor with its readings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.energy.meter import Sensor
from harness.log import read_log


@dataclass(frozen=True)
class Readings:
    """The readings of one sensor, failed ones left out.

    Attributes:
        sensor: What was read.
        time_ns: Monotonic clock, shape (readings,), rising.
        value: J or W, shape (readings,).
        failures: How many readings failed.
    """

    sensor: Sensor
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    failures: int


@dataclass(frozen=True)
class Trace:
    """What the recorder of one attempt wrote.

    Attributes:
        readings: A value a sensor.
        notes: Why sensors are missing.
        period_s: The time between readings that was asked for.
    """

    readings: tuple[Readings, ...] = ()
    notes: tuple[str, ...] = ()
    period_s: float = 0.0

    @property
    def end_ns(self) -> int:
        """The last moment at which any sensor was read."""
        ends = (int(each.time_ns[-1]) for each in self.readings if len(each.time_ns))
        return max(ends, default=0)


def read_trace(path: Path) -> Trace:
    """The trace in `path`; an empty one where there is none.

    Of several recorders in one file the last one counts: an attempt that died before its first
    event leaves its file to the next.
    """
    lines = read_log(path)
    headers = [n for n, line in enumerate(lines) if isinstance(line, dict) and "sensors" in line]
    if not headers:
        return Trace()
    header = lines[headers[-1]]
    samples = [line for line in lines[headers[-1] + 1 :] if isinstance(line, list)]
    return Trace(
        readings=tuple(
            _readings(Sensor(**sensor), [line for line in samples if line[0] == number])
            for number, sensor in enumerate(header["sensors"])
        ),
        notes=tuple(header["notes"]),
        period_s=header["period_s"],
    )


def _readings(sensor: Sensor, lines: list[list[float]]) -> Readings:
    good = [line for line in lines if line[2] is not None]
    return Readings(
        sensor=sensor,
        time_ns=np.array([line[1] for line in good], dtype=np.int64),
        value=np.array([line[2] for line in good], dtype=np.float64),
        failures=len(lines) - len(good),
    )
