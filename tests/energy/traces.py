"""Traces made by hand, for tests that calculate what must come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.energy.meter import Quantity, Sensor, Source
from harness.energy.trace import Readings

SECOND = 1_000_000_000
"""A second in nanoseconds."""


def sensor(
    quantity: Quantity = "energy",
    source: Source = "counter",
    device: str = "GPU-0",
    relative_uncertainty: float = 0.05,
    resolution_j: float = 0.0,
) -> Sensor:
    """A sensor; its kind follows from its source."""
    kind = "cpu" if source == "estimated" else "gpu"
    return Sensor(device, device, kind, quantity, source, relative_uncertainty, resolution_j)


def readings(
    times_s: Sequence[float], values: Sequence[float], of: Sensor | None = None
) -> Readings:
    """Readings of `of` at moments in seconds."""
    return Readings(
        sensor=of or sensor(),
        time_ns=np.array([round(time * SECOND) for time in times_s], dtype=np.int64),
        value=np.array(values, dtype=np.float64),
        failures=0,
    )


def header(sensors: Iterable[Sensor]) -> dict[str, Any]:
    """The first line of a trace."""
    return {
        "sensors": [each.to_json() for each in sensors],
        "notes": [],
        "period_s": 0.05,
        "recorder_pid": 1,
    }


def encode(lines: Iterable[Any]) -> bytes:
    """Lines as they stand in a trace."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def lines_of(path: Path) -> list[Any]:
    """All whole lines of a trace, read without the harness."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
