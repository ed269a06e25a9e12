"""Every table of a study: header, unit and value agree, for programs and for people.

The scales below are the test's own, and so are the means: nothing here asks the report what a unit
is worth or what an arm's energy is.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from harness.results.column import Column
from reports.data import AskedClaim, Stage, StudyResults
from reports.figures.figure_result import Figured
from reports.html.page import section
from reports.plotting import style
from reports.statistics.statistics import Interval
from reports.statistics.summary import summarise
from reports.tables.every_run import every_attempt, every_run
from reports.tables.gallery import DETAILS, FINDINGS, SCHEMAS
from reports.tables.headline import headline
from reports.tables.table import Table
from reports.tables.warnings import warning_table
from tests.reports.details import detailed
from tests.reports.synthetic import PLANS, make

SIZES = {
    "J": 1.0,
    "kJ": 1e3,
    "MJ": 1e6,
    "mJ": 1e-3,
    "µJ": 1e-6,
    "mg": 1e-6,
    "g": 1e-3,
    "kg": 1.0,
    "g/kWh": 1e-3,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "%": 0.01,
    "points": 0.01,
    "°C": 1.0,
    "×": 1.0,
}
"""What one of each unit in a header is worth in the base unit."""
QUANTITY = re.compile(r"_(j|kg|s|c|w)(_low|_high)?$")
PROSE = {"claim", "source", "reason", "scale", "text", "value", "name", "host", "gpus", "factor"}


@cache
def study(scale: float) -> StudyResults:
    """A study that has every table there is, with energies of this size."""
    arms = {arm: arm for arm in (*PLANS, "dense_short")}
    results = make(arms, failed=[("progressive", 2)], scale=scale)
    runs = results.runs.assign(
        search_j=lambda found: found["energy_j"] * 0.4,
        search_epochs=4,
        test_j=lambda found: found["energy_j"] * 0.01,
        test_samples=360,
        inference_j=lambda found: found["energy_j"] * 1e-6,
        inference_source="counter",
        latency_s=lambda found: found["energy_j"] * 1e-7,
        latency_p99_s=lambda found: found["energy_j"] * 2e-7,
        co2e_kg=lambda found: found["energy_j"] / 3.6e6 * 0.475,
        duration_s=lambda found: found["energy_j"] / 15,
        gpus="GPU-0",
        start_temperature_c=31.0,
    )
    claims = (
        AskedClaim("less", "somebody, 2020", "early_bird", "dense", 0.5, -1.5),
        AskedClaim("unknown", "somebody, 2021", None, "dense", 0.5, None),
    )
    stages = (Stage("", "lottery_ticket"), Stage("once", "dense"), Stage("early", None))
    return detailed(replace(results, runs=runs, claims=claims, decomposition=stages))


def tables(results: StudyResults) -> list[Table]:
    found = [make(results) for make in (*FINDINGS, *DETAILS)]
    made = [headline(summarise(results)), *filter(None, found), warning_table(results)]
    assert [table.name for table in made] == [schema.name for schema in SCHEMAS]
    return made


def agree(text: str, size: float, value: float) -> bool:
    """Whether a number as people read it, times the size of its unit, is the file's."""
    if text == "–":
        return bool(pd.isna(value))
    number = text.replace("−", "-")
    rounding = 0.5001 * size * 10.0 ** -len(number.partition(".")[2])
    return math.isclose(float(number) * size, value, rel_tol=1e-6, abs_tol=rounding)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 400.0, 3e5])
def test_what_people_read_is_the_file_s_value_in_the_unit_of_its_header(scale: float) -> None:
    results, compared = study(scale), 0
    symbols = set()
    for table in tables(results):
        columns = table.frame()
        for place, (name, view) in enumerate(table.view.items()):
            if not table.numeric[place]:
                continue
            header = table.header[place]
            unit = header.rpartition(", ")[2] if ", " in header else ""
            size = SIZES.get(unit.removeprefix("±").strip().split("\u00a0")[0], 1.0)
            plain = unit in ("", *SIZES) or "relative to dense" in unit
            assert size != 1.0 or plain or "×" in unit or "±" in unit, header
            for row, cell in zip(table.rows, columns.to_dict("records"), strict=True):
                shown = row[place]
                seen = {name: shown.text} if view.text is None else {}
                if view.note is None and shown.note:
                    seen |= zip(
                        (f"{name}_low", f"{name}_high"), shown.note.split(" … "), strict=True
                    )
                for column, text in seen.items():
                    assert agree(text, size, cell[column]), (table.name, header, shown, cell)
                    compared += text != "–"
                symbols.add(unit.removeprefix("±\u00a0"))
    assert compared > 250
    assert symbols >= {"%", "points", {1e-4: "mg", 1.0: "mg", 400.0: "kJ", 3e5: "MJ"}[scale]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tables of a large study, and those behind its figures; the drawings are not saved."""
    path = tmp_path_factory.mktemp("large")

    def save(name: str, figured: Figured, out: Path, folder: str, _identity: str) -> None:
        style.write_csv(figured.frame, out / folder / "figures" / f"{name}.csv")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("reports.html.page.plate", save)
        section(study(3e5), path, "", "study-1")
    return path


def test_the_files_hold_numbers_and_nothing_else_in_columns_of_numbers(written: Path) -> None:
    schemas = {schema.name: schema for schema in SCHEMAS}
    files = sorted(written.glob("*/*.csv"))
    assert {*schemas} < {file.stem for file in files}
    for file in files:
        frame = pd.read_csv(file)
        for name in frame:
            if QUANTITY.search(str(name)):
                assert pd.api.types.is_numeric_dtype(frame[name]), (file.name, name)
            assert str(name).isidentifier(), (file.name, name)
        if file.parent.name == "figures" or file.stem not in schemas:
            continue
        columns = schemas[file.stem].columns
        named = [name for column in columns for name in column.names]
        assert list(frame) == named + study(3e5).tuned_keys * (file.stem == "tuning")
        for column in columns:
            for name in column.names:
                words = frame[name].dropna()
                if column.kind == "text":
                    assert (
                        column.name in PROSE or not words.astype(str).str.contains(r" … |±").any()
                    )
                elif len(words):
                    assert pd.api.types.is_numeric_dtype(frame[name]), (file.name, name)


def test_the_headline_file_is_the_mean_of_the_runs(written: Path) -> None:
    """By pandas alone, from the file of runs to the file of the headline."""
    runs = pd.read_csv(written / "tables" / "runs.csv")
    found = pd.read_csv(written / "tables" / "headline.csv").set_index("arm")
    done = runs[runs["status"] == "done"].groupby("arm")
    for column, of in {
        "score": "test_score",
        "energy_j": "energy_j",
        "uncertainty_j": "uncertainty_j",
        "co2e_kg": "co2e_kg",
        "duration_s": "duration_s",
        "parameters": "parameters",
        "macs": "macs",
    }.items():
        expected = done[of].mean()
        assert found[column].to_dict() == pytest.approx(expected.to_dict()), column
    assert found["n"].to_dict() == done.size().to_dict()
    assert found["failures"]["progressive"] == 1
    left = done["macs"].mean() / done["dense_macs"].mean()
    assert found["macs_left"].to_dict() == pytest.approx(left.to_dict())
    # Limits of energies are as far apart as factors, so that none is below 0.
    middle = (found["energy_j_low"] * found["energy_j_high"]) ** 0.5
    assert middle.to_dict() == pytest.approx(found["energy_j"].to_dict())
    assert found["energy_j"].max() > 1e7, "joules, whatever the header of the page says"


def test_a_name_that_says_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="energy_j"):
        Column("energy_j", "number", "In another unit.", "kg")
    with pytest.raises(ValueError, match="co2e"):
        Column("co2e", "number", "Without its unit.", "kg")
    assert Column("energy_j", "number", "Energy.", "J", interval=True).names == (
        "energy_j",
        "energy_j_low",
        "energy_j_high",
    )


def test_a_record_that_is_not_of_the_schema_is_refused() -> None:
    table = headline(summarise(study(1.0)))
    first, *others = table.records
    less = {name: value for name, value in first.items() if name != "energy_j"}
    for odd, name in (({**first, "energy_mj": 1.0}, "energy_mj"), (less, "energy_j")):
        with pytest.raises(ValueError, match=name):
            replace(table, records=[odd, *others])
    with pytest.raises(ValueError, match="co2e"):
        replace(table, view={**table.view, "co2e": next(iter(table.view.values()))})


def test_the_low_and_the_high_stand_in_columns_of_their_own() -> None:
    row = headline(summarise(study(1.0))).frame().iloc[0]
    found = next(arm for arm in summarise(study(1.0)).arms if arm.arm == row["arm"])
    assert isinstance(found.energy_j, Interval)
    assert row["energy_j_low"] == found.energy_j.low
    assert row["energy_j_high"] == found.energy_j.high


def test_tables_of_an_older_version_call_scores_accuracies() -> None:
    new = make()
    then = {"test_score": "test_accuracy", "val_score": "val_accuracy"}
    old = replace(new, runs=new.runs.rename(columns=then), curves=new.curves.rename(columns=then))
    pd.testing.assert_frame_equal(old.runs, new.runs)
    pd.testing.assert_frame_equal(old.curves, new.curves)


@pytest.mark.parametrize(("share", "factor"), [(0.1, False), (1.9, True)])
def test_an_energy_that_may_be_off_by_more_than_itself_is_so_by_a_factor(
    share: float, factor: bool
) -> None:
    results = study(1.0)
    runs = results.runs.assign(uncertainty_j=share * results.runs["energy_j"])
    attempts = results.attempts.assign(uncertainty_j=share * results.attempts["energy_j"])
    changed = replace(results, runs=runs, attempts=attempts)
    for table in (headline(summarise(changed)), every_run(changed), every_attempt(changed)):
        assert table is not None
        column = [*table.view].index("uncertainty_j")
        texts = [row[column].text for row in table.rows if row[column].value != ""]
        assert texts
        assert {text == "a factor of 2.9" for text in texts} == {factor}
