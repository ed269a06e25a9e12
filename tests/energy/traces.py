"""Traces made by hand, for tests that calculate what must come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.energy.sensors.base import Quantity, Sensor, Source
from harness.energy.trace import Readings
from tests.fakes.known_power import KnownPower

SECOND = 1_000_000_000
"""A second in nanoseconds."""


def sensor(
    quantity: Quantity = "energy",
    source: Source = "counter",
    device: str = "GPU-0",
    relative_uncertainty: float = 0.05,
    resolution_j: float = 0.0,
    **more: Any,
) -> Sensor:
    """A sensor; its kind follows from its source."""
    kind = "cpu" if source == "estimated" else "gpu"
    return Sensor(
        device, device, kind, quantity, source, relative_uncertainty, resolution_j, **more
    )


def readings(
    times_s: Sequence[float],
    values: Sequence[float],
    of: Sensor | None = None,
    failed_s: Sequence[float] = (),
) -> Readings:
    """Readings of `of` at moments in seconds, and moments at which it failed."""
    return Readings(
        sensor=of or sensor(),
        time_ns=_nanoseconds(times_s),
        value=np.array(values, dtype=np.float64),
        failed_ns=_nanoseconds(failed_s),
    )


def _nanoseconds(times_s: Sequence[float]) -> np.ndarray:
    return np.array([round(time * SECOND) for time in times_s], dtype=np.int64)


def counted(
    power: KnownPower, times_s: Sequence[float], of: Sensor, phase_s: float = 0.0
) -> Readings:
    """What a counter shows of a known power: the energy up to its last update."""
    updates = np.floor((np.array(times_s) - phase_s) / of.update_s + 1e-6)
    updates_ns = _nanoseconds((phase_s + updates * of.update_s).tolist())
    return readings(times_s, [power.truth_j(0, int(at_ns)) for at_ns in updates_ns], of)


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
