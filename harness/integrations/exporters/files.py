"""`csv` and `parquet`: the tidy tables as files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.integrations.exporters.tracked import place
from harness.results.safe_csv import inert_csv
from harness.results.schema import IDENTITY
from harness.results.table import typed
from harness.utils.atomic_write import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from harness.results.table import Tables

_RUN = [column.name for column in IDENTITY]


def csv(tables: Tables, folder: Path, out: str | None) -> str:
    """Write a CSV file per table; unknown values are empty."""
    path = place(folder, out, "csv")
    for name, frame in _frames(tables):
        write_atomically(path / f"{name}.csv", inert_csv(frame).encode())
    return str(path)


def parquet(tables: Tables, folder: Path, out: str | None) -> str:
    """Write a Parquet file per table; unknown values are null, moments are timestamps in UTC."""
    path = place(folder, out, "parquet")
    for name, frame in _frames(tables):
        buffer = io.BytesIO()
        _dated(typed(frame)).to_parquet(buffer, index=False)
        write_atomically(path / f"{name}.parquet", buffer.getvalue())
    return str(path)


def _frames(tables: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table with its name; each one with joules also has their source."""
    import pandas as pd

    sources = tables.runs[[*_RUN, "energy_source"]].drop_duplicates(_RUN)
    for name, frame in vars(tables).items():
        if not isinstance(frame, pd.DataFrame):
            continue
        if "energy_j" in frame and "energy_source" not in frame:
            yield name, frame.merge(sources, on=_RUN, how="left")
        else:
            yield name, frame


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with moments as timestamps."""
    import pandas as pd

    if "started_at" not in frame:
        return frame
    moments = pd.to_datetime(frame["started_at"], utc=True, errors="coerce")
    return frame.assign(started_at=moments)
