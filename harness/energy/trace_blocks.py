"""A packed trace as arrays: read without a Python object a reading."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.energy.trace_file import batches

N = TypeVar("N", bound=np.generic)

TOLD = -1
"""Stands for the sensor of a line that is no reading."""


@dataclass(frozen=True)
class Block:
    """Rows of a packed trace that follow each other.

    Attributes:
        sensor: Number of the sensor, or `TOLD`, shape (rows,).
        time_ns: Monotonic clock, shape (rows,); of no meaning where `sensor` is `TOLD`.
        value: J or W, shape (rows,).
        failed: Whether the reading failed, so that there is no value, shape (rows,).
        told: Lines that are no readings, by row.
        why: By sensor, why readings failed, each reason once.
    """

    sensor: NDArray[np.int16]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    failed: NDArray[np.bool_]
    told: dict[int, Any]
    why: defaultdict[int, list[str]]


def blocks(trace: Path) -> Iterator[Block]:
    """The rows of a packed trace, without a Python object a reading."""
    for batch in batches(trace):
        sensor, time_ns, value, text = batch.columns
        is_told = _is_null(sensor)
        why: defaultdict[int, list[str]] = defaultdict(list)
        for row in np.flatnonzero(~is_told & ~_is_null(text)).tolist():
            if (said := text[row].as_py()) not in why[sensor[row].as_py()]:
                why[sensor[row].as_py()].append(said)
        yield Block(
            sensor=np.where(is_told, TOLD, _values(sensor, np.int16)),
            time_ns=_values(time_ns, np.int64),
            value=_values(value, np.float64),
            failed=_is_null(value) | ~np.isfinite(_values(value, np.float64)),
            told={row: json.loads(text[row].as_py()) for row in np.flatnonzero(is_told).tolist()},
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
