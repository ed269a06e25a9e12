"""The tidy table says what the raw records and the study say."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.results.carbon import keep_series
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.table import Tables
from harness.settings.metric import ACCURACY, BITS_PER_BYTE
from harness.settings.settings import Carbon
from tests.conftest import REPOSITORY
from tests.results.test_resume import POWER_W, SPECS, attempt, start

KWH_J = 3.6e6


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run that draws a steady power."""
    folder = start(SPECS[0], tmp_path)
    attempt(SPECS[0], folder)
    return folder


def row(study: Path, **carbon: Any) -> dict[str, Any]:
    """The only row of a study's table, with other settings of its carbon."""
    settings = study / "study.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"carbon": carbon}))
    keep_series(StudyFolder(study), Carbon(**carbon))
    [found] = Tables(study).runs.to_dict("records")
    return found


def write_series(path: Path, rows: dict[datetime, float]) -> str:
    lines = [f"{time.isoformat()},{kg}" for time, kg in rows.items()]
    path.write_text("\n".join(["time,kg_per_kwh", *lines]))
    return str(path)


@pytest.mark.usefixtures("run")
def test_co2e_is_the_energy_times_the_factor_of_the_studys_site(tmp_path: Path) -> None:
    found = row(tmp_path, country="FRA", pue=1.5)
    assert found["energy_j"] == pytest.approx(POWER_W * found["duration_s"], rel=1e-6)
    assert found["co2e_kg"] == pytest.approx(found["energy_j"] / KWH_J * 0.056039 * 1.5, rel=1e-6)
    assert found["carbon_basis"].startswith("France 2023, life cycle, CodeCarbon")


@pytest.mark.usefixtures("run")
def test_further_places_get_columns_from_the_same_energy_with_the_same_pue(tmp_path: Path) -> None:
    found = row(tmp_path, kg_per_kwh=0.3, pue=2, also=["FRA", "USA/ohio", "gcp/europe-west1"])
    kwh = found["energy_j"] / KWH_J
    assert found["co2e_kg"] == pytest.approx(kwh * 0.3 * 2)
    assert found["co2e_kg_FRA"] == pytest.approx(kwh * 0.056039 * 2, rel=1e-6)
    assert found["co2e_kg_gcp/europe-west1"] == pytest.approx(kwh * 0.122 * 2)
    assert "ohio" in found["carbon_basis_USA/ohio"]


def test_each_joule_counts_by_the_factor_of_its_moment(run: RunFolder, tmp_path: Path) -> None:
    """At a steady power, half the time is half the energy, whatever windows are in it."""
    [begin] = Journal(run).attempts
    began = datetime.fromisoformat(begin.events[0]["wall"])
    duration_s = row(tmp_path)["duration_s"]
    rows = {began: 0.1, began + timedelta(seconds=duration_s / 4): 0.5}
    file = write_series(tmp_path / "grid.csv", rows | {began + timedelta(days=1): 9.0})
    found = row(tmp_path, series=file, country="FRA")
    expected_kg = found["energy_j"] / KWH_J * (0.1 / 4 + 0.5 * 3 / 4)
    assert found["co2e_kg"] == pytest.approx(expected_kg, rel=1e-3)
    assert found["carbon_basis"].startswith("series grid.csv, ")
    assert "outside" not in found["carbon_basis"]


@pytest.mark.usefixtures("run")
def test_what_wins_over_a_series_and_what_it_wins_over(tmp_path: Path) -> None:
    file = write_series(tmp_path / "grid.csv", {datetime(2020, 1, 1, tzinfo=UTC): 0.7})
    both = row(tmp_path, series=file, cloud="gcp/europe-west1")
    assert both["co2e_kg"] == pytest.approx(both["energy_j"] / KWH_J * 0.7)
    assert "100.0% of the energy was drawn outside" in both["carbon_basis"]
    hand = row(tmp_path, series=file, kg_per_kwh=0.2)
    assert hand["co2e_kg"] == pytest.approx(hand["energy_j"] / KWH_J * 0.2)


@pytest.mark.usefixtures("run")
def test_the_series_is_kept_with_the_results(tmp_path: Path) -> None:
    file = write_series(tmp_path / "grid.csv", {datetime(2020, 1, 1, tzinfo=UTC): 0.7})
    with_file = row(tmp_path, series=file)
    Path(file).unlink()
    [found] = Tables(tmp_path).runs.to_dict("records")
    assert found["co2e_kg"] == with_file["co2e_kg"] > 0


def write_live(study: Path, *records: dict[str, Any]) -> None:
    lines = [json.dumps({"country": "DEU"} | record) for record in records]
    (study / "carbon_live.jsonl").write_text("\n".join([*lines, ""]))


def test_a_live_answer_holds_until_the_next_and_the_offline_factor_where_there_is_none(
    run: RunFolder, tmp_path: Path
) -> None:
    [begin] = Journal(run).attempts
    began = datetime.fromisoformat(begin.events[0]["wall"])
    middle = began + timedelta(seconds=row(tmp_path)["duration_s"] / 2)
    offline_kg = 0.38095
    live = {"country": "DEU", "live": "electricitymaps", "pue": 1.5}
    answered = {"time": began.isoformat(), "kg_per_kwh": 0.1}
    failed = {"time": middle.isoformat(), "error": "refused"}
    damaged = [{"time": "noon", "kg_per_kwh": 9}, {"time": middle.isoformat()}]
    foreign = {"time": began.isoformat(), "kg_per_kwh": 9, "country": "FRA"}

    def mean_kg(*records: dict[str, Any]) -> tuple[float, str]:
        write_live(tmp_path, *records)
        found = row(tmp_path, **live)
        return found["co2e_kg"] / (found["energy_j"] / KWH_J) / 1.5, found["carbon_basis"]

    kg, basis = mean_kg(answered, foreign, *damaged)
    assert kg == pytest.approx(0.1)
    assert basis.startswith(f"DEU at {began.isoformat()}, live from Electricity Maps")
    kg, basis = mean_kg(answered, failed)
    assert kg == pytest.approx((0.1 + offline_kg) / 2, rel=1e-3)
    assert "(no live intensity: refused)" in basis
    kg, basis = mean_kg()
    assert kg == pytest.approx(offline_kg)
    assert basis.endswith("(no live intensity on record)")


def test_unknown_energy_or_time_makes_unknown_co2e(run: RunFolder, tmp_path: Path) -> None:
    file = write_series(tmp_path / "grid.csv", {datetime(2020, 1, 1, tzinfo=UTC): 0.7})
    first, *others = run.journal.read_text().splitlines()
    timeless = {key: value for key, value in json.loads(first).items() if key != "wall"}
    run.journal.write_text("\n".join([json.dumps(timeless), *others]) + "\n")
    found = row(tmp_path, series=file, also=["FRA"])
    assert math.isnan(found["co2e_kg"])
    assert "does not say when" in found["carbon_basis"]
    assert found["co2e_kg_FRA"] > 0
    run.trace(1).unlink()
    assert math.isnan(row(tmp_path, also=["FRA"])["co2e_kg_FRA"])


@pytest.mark.usefixtures("run")
def test_the_report_names_every_place(tmp_path: Path) -> None:
    from reports.data import StudyResults
    from reports.text import measurement

    row(tmp_path, kg_per_kwh=0.3, also=["FRA"])
    tables = Tables(tmp_path)
    tables.runs["co2e_kg"], tables.runs["co2e_kg_FRA"] = 0.003, 0.0005
    results = StudyResults(tables.study, tables.runs, tables.curves, tables.phases)
    facts = dict(measurement.facts(results))
    assert facts["Carbon"] == "factor given by the study, 300 g/kWh, PUE 1"
    assert facts["Carbon at FRA"].startswith("France 2023")
    assert facts["CO2e of these runs"] == "here 3.00 g, FRA 0.500 g"


def test_results_of_the_first_format_still_open_and_give_the_same_numbers() -> None:
    table = Tables(REPOSITORY / "tests" / "results" / "format_1").runs
    found = zip(table["arm"], table["seed"], table["energy_j"], table["test_score"], strict=True)
    # As they were published then.
    assert list(found) == [
        ("dense", 0, pytest.approx(17.818429702708453), 0.9916666666666667),
        ("early_bird", 0, pytest.approx(13.62361613536727), 0.9916666666666667),
        ("early_bird", 1, pytest.approx(13.025339242190274), 0.9888888888888889),
    ]
    assert set(table["status"]) == {"done"}


def scored_otherwise(tmp_path: Path, seed: int) -> Path:
    """The records of the first format, where early_bird's run with this seed names a metric."""
    folder = tmp_path / "results"
    shutil.copytree(REPOSITORY / "tests" / "results" / "format_1", folder)
    journal = RunFolder(folder / "runs" / "early_bird" / f"seed-{seed}").journal
    first, *rest = journal.read_text().splitlines()
    event = {"event": "metric", "time_ns": json.loads(first)["time_ns"]}
    named = json.dumps(event | BITS_PER_BYTE.to_json())
    journal.write_text("\n".join([first, named, *rest, ""]))
    return folder


def test_a_run_says_what_its_scores_are(tmp_path: Path) -> None:
    tables = Tables(scored_otherwise(tmp_path, 0))
    assert list(tables.runs["metric"]) == ["accuracy", "bits per byte", "accuracy"]
    assert tables.tested["early_bird", 0].metric == BITS_PER_BYTE
    with pytest.raises(UsageError, match="some runs are scored by accuracy, others by bits per"):
        _ = tables.metric


def test_metrics_that_differ_in_margin_alone_are_compared() -> None:
    assert ACCURACY.comparable_with(replace(ACCURACY, margin=1.0, decimals=3))
    assert not ACCURACY.comparable_with(replace(ACCURACY, factor=1.0))
