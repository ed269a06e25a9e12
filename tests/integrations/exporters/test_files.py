"""CSV and Parquet hold the tables: every row, every type, every gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.integrations.exporters.files import csv, parquet
from harness.results.table import Tables

NAMES = {"runs", "curves", "phases", "attempts", "tickets", "tuning"}


@pytest.mark.parametrize(("write", "end"), [(csv, "csv"), (parquet, "parquet")])
def test_every_table_is_there_with_every_row(
    write: Callable[..., str], end: str, tables: Tables, folder: Path, tmp_path: Path
) -> None:
    where = Path(write(tables, folder, str(tmp_path / "out")))
    assert {path.stem for path in where.iterdir()} == NAMES
    assert len(tables.tuning) == 0, "nothing was tuned"
    for name in NAMES - {"tuning"}:
        read = getattr(pd, f"read_{end}")(where / f"{name}.{end}")
        frame = getattr(tables, name)
        assert len(read) == len(frame) > 0
        for column in ("arm", "seed", "energy_j"):
            assert read[column].tolist() == frame[column].tolist()
        assert set(read["energy_source"]) == {"estimated"}


def test_what_is_unknown_is_empty_and_simulated_energy_says_so(ills: Path, tmp_path: Path) -> None:
    tables = Tables(ills)
    for write, end in ((csv, "csv"), (parquet, "parquet")):
        where = Path(write(tables, ills, str(tmp_path / end)))
        runs = getattr(pd, f"read_{end}")(where / f"runs.{end}").set_index("seed")
        runs = runs[runs["method"] == "dense"]
        assert math.isnan(runs.loc[1, "energy_j"])
        assert math.isnan(runs.loc[0, "test_score"])
        curves = getattr(pd, f"read_{end}")(where / f"curves.{end}")
        sources = curves[curves["arm"] == "dense"].groupby("seed")["energy_source"].unique()
        assert {seed: list(found) for seed, found in sources.items()} == {
            0: ["estimated"],
            2: ["simulated"],
        }
    assert "\n0.0," not in (tmp_path / "csv" / "runs.csv").read_text()


def test_parquet_is_typed(tables: Tables, folder: Path, tmp_path: Path) -> None:
    where = Path(parquet(tables, folder, str(tmp_path)))
    types = {field.name: str(field.type) for field in pq.read_schema(where / "runs.parquet")}
    assert types["seed"] == types["parameters"] == "int64"
    assert types["energy_j"] == "double"
    assert types["ticket_emerged"] == "bool"
    assert types["started_at"] == "timestamp[us, tz=UTC]"


def test_one_name_for_numbers_and_words_is_text(
    tables: Tables, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = tables.runs.assign(fact=[1, "one", 2.5, None, *[True] * 8])
    monkeypatch.setattr(tables, "runs", mixed)
    where = Path(parquet(tables, folder, str(tmp_path)))
    read = pd.read_parquet(where / "runs.parquet")["fact"]
    assert read[:3].tolist() == ["1", "one", "2.5"]
    assert pd.isna(read[3])


def test_hostile_names_write_nothing_elsewhere(
    ills: Path, tmp_path: Path, written: Callable[[], set[Path]]
) -> None:
    before = written()
    csv(Tables(ills), ills, str(tmp_path / "out"))
    parquet(Tables(ills), ills, str(tmp_path / "out"))
    new = written() - before
    assert {path.parent for path in new} == {tmp_path / "out"}
    assert len(new) == 2 * len(NAMES)
