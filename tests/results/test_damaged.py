"""Damaged results are reported, or left out: never a traceback, never 0 for a missing figure."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder
from harness.results.table import Tables
from tests.results.test_resume import SPECS, attempt, start


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one run."""
    study = tmp_path_factory.mktemp("finished")
    attempt(SPECS[0], start(SPECS[0], study))
    return study


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunFolder:
    """A finished run of its own."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return StudyFolder(tmp_path).run(SPECS[0])


def test_without_a_trace_the_energy_is_unknown_and_not_nought(
    run: RunFolder, tmp_path: Path
) -> None:
    run.trace(1).unlink()
    tables = Tables(tmp_path)
    [row] = tables.runs.to_dict("records")
    assert row["status"] == "done"
    assert row["energy_source"] == "none"
    assert all(math.isnan(row[name]) for name in ("energy_j", "uncertainty_j", "co2e_kg", "lost_j"))
    assert row["coverage"] == 0
    assert len(tables.curves) == len(tables.phases) == 0


def test_a_report_of_unknown_energy_says_so(run: RunFolder, tmp_path: Path) -> None:
    import reports
    from reports.data import study_results
    from reports.statistics.summary import summarise
    from reports.text.sentence import sentence

    run.trace(1).unlink()
    results = study_results(Tables(tmp_path))
    assert reports.build(results, out=tmp_path / "report").exists()
    assert "nan" not in sentence(summarise(results)).lower()


@pytest.mark.parametrize("line", ["garbage", "[1, 2]", "{}", '{"event": "border"}', "null"])
def test_a_damaged_line_of_the_journal_is_left_out(
    run: RunFolder, tmp_path: Path, line: str
) -> None:
    lines = run.journal.read_text().splitlines()
    run.journal.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")
    [row] = Tables(tmp_path).runs.to_dict("records")
    assert row["status"] == "done"
    assert row["energy_j"] > 0
    assert "journal: 1 damaged lines left out" in row["energy_note"]


@pytest.mark.parametrize("content", ["", "garbage", "[]", "{}", '{"schema_version": 1}'])
def test_a_damaged_specification_is_reported(run: RunFolder, tmp_path: Path, content: str) -> None:
    run.spec.write_text(content)
    with pytest.raises(UsageError, match=r"spec\.json"):
        Tables(tmp_path)


def test_a_hyper_parameter_cannot_take_the_place_of_a_column(
    run: RunFolder, tmp_path: Path
) -> None:
    spec = json.loads(run.spec.read_text())
    run.spec.write_text(json.dumps(spec | {"hyperparameters": {"energy_j": 1.0, "status": "x"}}))
    [row] = Tables(tmp_path).runs.to_dict("records")
    assert row["energy_j"] > 1
    assert (row["status"], row["method_status"], row["method_energy_j"]) == ("done", "x", 1.0)


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results here"):
        Tables(tmp_path)
    settings = {"schema_version": 1, "name": "tiny", "carbon": {}}
    (tmp_path / "study.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match="no runs here yet"):
        Tables(tmp_path)
