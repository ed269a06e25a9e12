"""A finished trace as a compact columnar file: the same lines, in order, a tenth of the size.

While it grows a trace is JSON lines, which survive any crash. Afterwards it is packed as Parquet,
a row per line, in bounded memory, so that days of readings are packed and read without loss.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.utils.atomic_write import sync_folder
from harness.utils.jsonl import LogReader

PACKED = ".parquet"
ROWS = 200_000
"""Rows that are held in memory at a time."""


def pack(trace: Path) -> Path:
    """Replace `trace` by its packed form; returns where that is.

    The packed file is complete before the first one is deleted.

    Raises:
        OSError: It could not be written; the first one is kept.
    """
    import pyarrow as pa

    packed, unfinished = trace.with_suffix(PACKED), trace.with_suffix(".part")
    try:
        with writer(unfinished) as file:
            rows = map(_row, LogReader(trace).new())
            while some := list(itertools.islice(rows, ROWS)):
                columns = list(zip(*some, strict=True))
                file.write_table(pa.table(columns, schema=file.schema))
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(packed)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(packed.parent)
    trace.unlink()
    return packed


def writer(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetWriter` of packed traces, with their schema and encodings."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(
        path,
        _schema(),
        compression="zstd",
        use_dictionary=["sensor", "text"],
        column_encoding={"time_ns": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
    )


def _schema() -> Any:
    import pyarrow as pa

    types = {
        "sensor": pa.int16(),
        "time_ns": pa.int64(),
        "value": pa.float64(),
        "text": pa.string(),
    }
    return pa.schema(types)


def is_packed(trace: Path) -> bool:
    """Whether only the packed form of a trace is there."""
    return not trace.exists() and trace.with_suffix(PACKED).exists()


def lines(trace: Path) -> Iterator[Any]:
    """The lines of a trace, packed or not; none where there is neither."""
    if not is_packed(trace):
        yield from LogReader(trace).new()
        return
    for batch in batches(trace):
        yield from map(_line, *(column.to_pylist() for column in batch.columns))


def batches(trace: Path) -> Iterator[Any]:
    """The rows of a packed trace, as record batches of pyarrow.

    Raises:
        ValueError: Its columns are not those that `pack` writes; read as bytes, they would be
            wrong.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(trace.with_suffix(PACKED)) as file:
        if not file.schema_arrow.equals(_schema()):
            found = ", ".join(f"{each.name}: {each.type}" for each in file.schema_arrow)
            raise ValueError(f"not the columns of a trace: {found}")
        yield from file.iter_batches(ROWS, use_threads=False)


def _row(line: Any) -> tuple[Any, ...]:
    if isinstance(line, list):
        sensor, time_ns, value, *error = line
        return sensor, time_ns, value, error[0] if error else None
    return None, None, None, json.dumps(line)


def _line(sensor: int | None, time_ns: int, value: float | None, text: str | None) -> Any:
    if sensor is None:
        return json.loads(text or "null")
    return [sensor, time_ns, value, *([text] if text is not None else [])]
