"""A finished trace as a compact columnar file: the same lines, in order, a tenth of the size.

While it grows a trace is JSON lines, which survive any crash. Afterwards it is packed as Parquet,
a row a line, in bounded memory, so that days of readings are packed and read without loss.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.log import LogReader

PACKED = ".parquet"
ROWS = 200_000
"""Rows that are held in memory at a time."""


def pack(trace: Path) -> Path:
    """Replace `trace` by its packed form; returns where that is.

    The packed file is complete before the first one goes.

    Raises:
        OSError: It could not be written; then the first one stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "sensor": pa.int16(),
        "time_ns": pa.int64(),
        "value": pa.float64(),
        "text": pa.string(),
    }
    schema = pa.schema(types)
    packed, unfinished = trace.with_suffix(PACKED), trace.with_suffix(".part")
    encoding = {"time_ns": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}
    with pq.ParquetWriter(
        unfinished,
        schema,
        compression="zstd",
        use_dictionary=["sensor", "text"],
        column_encoding=encoding,
    ) as writer:
        rows = map(_row, LogReader(trace).new())
        while some := list(itertools.islice(rows, ROWS)):
            columns = list(zip(*some, strict=True))
            writer.write_table(pa.table(columns, schema=schema))
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(packed)
    trace.unlink()
    return packed


def lines(trace: Path) -> Iterator[Any]:
    """The lines of a trace, packed or not; none where there is neither."""
    packed = trace.with_suffix(PACKED)
    if trace.exists() or not packed.exists():
        yield from LogReader(trace).new()
        return
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(packed).iter_batches(ROWS):
        yield from map(_line, *(column.to_pylist() for column in batch.columns))


def _row(line: Any) -> tuple[Any, ...]:
    if isinstance(line, list):
        sensor, time_ns, value, *error = line
        return sensor, time_ns, value, error[0] if error else None
    return None, None, None, json.dumps(line)


def _line(sensor: int | None, time_ns: int, value: float | None, text: str | None) -> Any:
    if sensor is None:
        return json.loads(text or "null")
    return [sensor, time_ns, value, *([text] if text is not None else [])]
