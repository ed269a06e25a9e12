"""Every report is valid by Boavizta's schema, and says no more than is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from harness.integrations.exporters.to_boamps import export
from harness.integrations.exporters.to_boamps import report as report_of
from harness.results.table import Tables
from tests.integrations.exporters.conftest import MARKUP

SCHEMA = Path(__file__).parent / "boamps_schema"


def validator() -> Draft202012Validator:
    """As Boavizta's own `tools/schema_validator` makes it."""
    parts = [json.loads(path.read_text()) for path in SCHEMA.glob("*_schema.json")]
    registry = Registry().with_resources((p["id"], Resource(p, DRAFT4)) for p in parts)
    [report] = [part for part in parts if part["title"] == "report"]
    return Draft202012Validator(report, registry=registry)


def reports(out: Path) -> dict[str, dict[str, Any]]:
    found = {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}
    for name, report in found.items():
        assert [error.message for error in validator().iter_errors(report)] == [], name
    return found


@pytest.fixture(scope="module")
def exported(tables: Tables, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("boamps")
    assert export(tables, folder, str(out)) == f"{out}: 12 reports"
    return out


def test_the_schema_is_able_to_refuse(exported: Path) -> None:
    report = reports(exported)["dense_seed-0"]
    del report["measures"][0]["powerConsumption"]
    report["quality"] = "excellent"
    assert len(list(validator().iter_errors(report))) == 2


def test_a_report_says_what_the_table_says(exported: Path, tables: Tables) -> None:
    found = reports(exported)
    assert len(found) == 12
    report = found["early_bird_seed-0"]
    row = tables.runs[(tables.runs["arm"] == "early_bird") & (tables.runs["seed"] == 0)].iloc[0]
    [measure] = report["measures"]
    assert measure["powerConsumption"] == row["energy_j"] / 3.6e6
    assert measure["measurementDuration"] == row["duration_s"]
    assert measure["measurementDateTime"] == row["started_at"][:19].replace("T", " ")
    assert measure["measurementMethod"] == "energy-harness (estimated)"
    assert measure["cpuTrackingMode"].startswith("estimated: CPU time of the run's processes")
    assert "gpuTrackingMode" not in measure
    assert "powerCalibrationMeasurement" not in measure
    [algorithm] = report["task"]["algorithms"]
    assert algorithm["parametersNumber"] == row["parameters"] / 1e9
    assert algorithm["epochsNumber"] == 16
    assert algorithm["frameworkVersion"].startswith("2.")
    assert report["task"]["measuredAccuracy"] == row["test_score"]
    kinds = {
        each["componentType"]: each["nbComponent"]
        for each in report["infrastructure"]["components"]
    }
    assert kinds == {"cpu": 1, "ram": 1}
    assert "environment" not in report


def test_a_score_that_is_no_accuracy_is_described(tables: Tables) -> None:
    row = tables.runs.iloc[0].to_dict() | {"metric": "bits per byte", "test_score": 1.84}
    folder = tables.folder(row["arm"], row["seed"])
    attempts = tables.attempts[tables.attempts["arm"] == row["arm"]]
    task = report_of(row, attempts, folder, tables.settings["carbon"])["task"]
    assert "measuredAccuracy" not in task
    assert task["taskFamily"] == "other"
    assert "Its bits per byte on test data: 1.84." in task["taskDescription"]


def test_the_uncertainty_is_carried_over(exported: Path) -> None:
    report = reports(exported)["dense_seed-0"]
    assert "quality" not in report  # there is no word for an error beyond 50 %
    text = report["task"]["taskDescription"]
    assert "attempts that broke off) is estimated: " in text
    assert re.search(r"kWh ± 1\d\d\.\d % \(95 %\)", text)


@pytest.mark.parametrize(
    ("percent", "word"),
    [(3, "high"), (10, "high"), (11, "medium"), (25, "medium"), (50, "low"), (51, None)],
)
def test_quality_is_the_relative_uncertainty(
    tables: Tables,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    percent: float,
    word: str | None,
) -> None:
    surer = tables.runs.assign(uncertainty_j=tables.runs["energy_j"] * percent / 100)
    monkeypatch.setattr(tables, "runs", surer)
    export(tables, folder, str(tmp_path))
    assert {report.get("quality") for report in reports(tmp_path).values()} == {word}


def test_a_measured_run_names_its_sensor_and_its_idle_power(
    tables: Tables, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = tables.runs.assign(
        energy_source="counter",
        energy_scope="gpu",
        idle_energy_j=tables.runs["duration_s"] * 72.0,
    )
    monkeypatch.setattr(tables, "runs", measured)
    monkeypatch.setattr(
        "harness.integrations.exporters.to_boamps.lines", lambda _: iter([{"sensors": SENSORS}])
    )
    export(tables, folder, str(tmp_path))
    report = reports(tmp_path)["dense_seed-0"]
    [measure] = report["measures"]
    assert measure["measurementMethod"] == "energy-harness"
    assert measure["gpuTrackingMode"] == "counter: NVML total energy reading, driver 570"
    assert "cpuTrackingMode" not in measure
    assert measure["powerCalibrationMeasurement"] == pytest.approx(72.0 * 2 / 3.6e6)
    assert measure["durationCalibrationMeasurement"] == 2
    assert report["infrastructure"]["components"] == [
        {"componentType": "gpu", "componentName": "NVIDIA H100", "nbComponent": 2}
    ]


SENSORS = [
    {
        "device": device,
        "name": "NVIDIA H100",
        "kind": "gpu",
        "quantity": quantity,
        "source": source,
        "relative_uncertainty": 0.05,
        "note": f"NVML total {quantity} reading, driver 570",
        "part": part,
    }
    for device in ("GPU-0", "GPU-1")
    for quantity, source, part in (
        ("energy", "counter", "device"),
        ("power", "sampled", "device"),
        ("power", "counter", "memory"),
    )
]


@pytest.mark.parametrize(
    ("site", "environment", "infra"),
    [
        ({}, None, "other"),
        ({"kg_per_kwh": 0.4}, None, "other"),
        ({"cloud": "gcp/europe-west1"}, None, "publicCloud"),
        ({"country": "DEU", "kg_per_kwh": 0.4, "pue": 1.5}, ("Germany", 400), "other"),
    ],
)
def test_the_place_is_reported_if_the_study_has_it(
    folder: Path,
    tmp_path: Path,
    site: dict[str, Any],
    environment: tuple[str, float] | None,
    infra: str,
) -> None:
    study = folder / "study.json"
    before = study.read_text()
    try:
        study.write_text(json.dumps(json.loads(before) | {"carbon": site}))
        export(Tables(folder), folder, str(tmp_path))
    finally:
        study.write_text(before)
    report = reports(tmp_path)["dense_seed-0"]
    assert report["infrastructure"]["infraType"] == infra
    if environment is None:
        assert "environment" not in report
    else:
        country, g_per_kwh = environment
        assert report["environment"]["country"] == country
        assert report["environment"]["powerSourceCarbonIntensity"] == pytest.approx(g_per_kwh)


def test_only_finished_runs_of_known_energy_make_a_report(ills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = export(Tables(ills), ills, str(out))
    assert report == f"{out}: 2 reports; 2 left out: not finished, or of unknown energy"
    found = reports(out)
    assert set(found) == {"dense_seed-2", "early_bird_seed-0"}
    simulated = found["dense_seed-2"]
    assert simulated["measures"][0]["measurementMethod"] == "energy-harness (simulated)"
    assert " is simulated: " in simulated["task"]["taskDescription"]
    assert "quality" not in simulated


def test_a_run_has_the_same_id_in_every_export(
    exported: Path, tables: Tables, folder: Path, tmp_path: Path
) -> None:
    export(tables, folder, str(tmp_path))
    ids = [
        {name: report["header"]["reportId"] for name, report in reports(out).items()}
        for out in (exported, tmp_path)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == 12


def test_hostile_names_are_text_and_nothing_else(
    ills: Path, tmp_path: Path, written: Callable[[], set[Path]]
) -> None:
    before, out = written(), tmp_path / "out"
    export(Tables(ills), ills, str(out))
    assert {path.parent for path in written() - before} == {out}
    assert MARKUP in reports(out)["early_bird_seed-0"]["task"]["taskDescription"]
