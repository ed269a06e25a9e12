"""A packed trace holds what the lines held, takes less room, and replaces them only when whole."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy import trace_file
from harness.energy.trace import read_trace
from harness.energy.trace_file import lines, pack
from tests.conftest import REPOSITORY
from tests.energy.traces import encode, header, sensor

numbers = st.floats(allow_nan=False, allow_infinity=False)
reading = st.tuples(st.integers(0, 40), st.integers(0, 2**62), numbers).map(list)
failure = st.tuples(st.integers(0, 40), st.integers(0, 2**62), st.none(), st.text()).map(list)
event = st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.lists(st.integers())))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.one_of(reading, failure, event), max_size=30))
def test_every_line_comes_back_in_its_place(tmp_path_factory, written: list[Any]) -> None:
    trace = tmp_path_factory.mktemp("pack") / "trace-1.jsonl"
    trace.write_bytes(encode(written))
    as_read = list(lines(trace))
    pack(trace)
    assert not trace.exists()
    assert list(lines(trace)) == as_read == json.loads(json.dumps(written))


beginning = st.lists(st.just(sensor("power").to_json()), max_size=3).map(
    lambda sensors: {"sensors": sensors, "notes": [], "period_s": 0.05}
)
any_number = st.one_of(numbers, st.just(math.nan), st.integers(-3, 3))
short = st.one_of(
    st.tuples(st.integers(0, 3), st.integers(0, 2**62), any_number).map(list),
    st.tuples(st.integers(0, 3), st.integers(0, 2**62), st.none(), st.text()).map(list),
    st.sampled_from([{"idle": [1, 2]}, {"falsified": 1, "loss": 0.5}, {"rhythm": {"0": 0.1}}]),
    beginning,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(short, max_size=30), st.sampled_from([1, 4, 200_000]))
def test_packed_it_makes_the_same_trace(tmp_path_factory, written: list[Any], rows: int) -> None:
    """However many headers, failures and batches there are, and where nothing was read at all."""
    path = tmp_path_factory.mktemp("pack") / "trace-1.jsonl"
    path.write_bytes(encode(written))
    before = read_trace(path)
    pack(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_file, "ROWS", rows)
        after = read_trace(path)
    assert len(after.readings) == len(before.readings)
    for one, other in zip(after.readings, before.readings, strict=True):
        assert one.sensor == other.sensor
        for name in ("time_ns", "value", "failed_ns"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    bare = {"readings": ()}
    assert dataclasses.replace(after, **bare) == dataclasses.replace(before, **bare)


def test_it_is_read_without_pandas(trace: Path) -> None:
    """pyarrow imports it for some conversions, which takes longer than all the reading."""
    pack(trace)
    code = (
        "import sys; from pathlib import Path; from harness.energy.trace import read_trace\n"
        "assert len(read_trace(Path(sys.argv[1])).readings[0].value) == 5000\n"
        "assert 'pandas' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code, str(trace)], env=environment, check=True)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace-1.jsonl"
    rows = [[0, 10**15 + 50_000_000 * n, round(0.0037 * n, 3)] for n in range(5000)]
    path.write_bytes(encode([header([sensor()]), *rows, {"end": 1}]))
    return path


def test_packed_it_takes_a_fraction_of_the_room_and_reads_the_same(trace: Path) -> None:
    before, size = read_trace(trace), trace.stat().st_size
    packed = pack(trace)
    after = read_trace(trace)
    assert packed.stat().st_size < size / 3
    assert (after.readings[0].time_ns == before.readings[0].time_ns).all()
    assert (after.readings[0].value == before.readings[0].value).all()
    assert after.events == before.events


def test_more_rows_than_are_held_at_a_time(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "ROWS", 700)
    as_read = list(lines(trace))
    pack(trace)
    assert list(lines(trace)) == as_read


def test_pandas_reads_it_without_this_project(trace: Path) -> None:
    table = pd.read_parquet(pack(trace))
    assert table["value"].notna().sum() == 5000
    first = json.loads(table.loc[table["sensor"].isna(), "text"].iloc[0])
    assert first["sensors"][0]["quantity"] == "energy"


def test_a_torn_last_line_is_left_out(trace: Path) -> None:
    trace.write_bytes(trace.read_bytes() + b"[0, 17")
    assert len(list(lines(trace))) == 5002
    pack(trace)
    assert len(list(lines(trace))) == 5002


def test_what_could_not_be_packed_stays(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trace_file.os, "fsync", full)
    as_read = list(lines(trace))
    with pytest.raises(OSError, match="No space"):
        pack(trace)
    assert list(lines(trace)) == as_read


def test_without_either_there_is_nothing(tmp_path: Path) -> None:
    assert list(lines(tmp_path / "trace-1.jsonl")) == []


@pytest.mark.parametrize(
    "columns",
    [
        {"sensor": "int64"},
        {"time_ns": "float64"},
        {"value": "float32"},
        {"text": "large_string"},
        {"text": None},
    ],
)
def test_columns_of_other_types_are_not_misread(columns, tmp_path: Path) -> None:
    trace = tmp_path / "trace-1.jsonl"
    readings = [[0, 1_000_000_000 * n, float(n)] for n in range(1, 50)]
    trace.write_bytes(encode([header([sensor("energy")]), *readings]))
    packed = pack(trace)
    table = pq.read_table(packed)
    for name, kind in columns.items():
        place = table.schema.get_field_index(name)
        if kind is None:
            table = table.remove_column(place)
            continue
        column = table.column(name).cast(getattr(pa, kind)())
        table = table.set_column(place, name, column)
    pq.write_table(table, packed)
    found = read_trace(trace)
    assert found.readings == ()
    assert "damaged" in found.notes[0]
