"""MLflow's own client reads back what was written."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import UsageError
from harness.integrations.exporters.to_mlflow import export
from harness.results.table import Tables
from tests.integrations.exporters.conftest import MARKUP, fail

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow is not ready for what SQLAlchemy 2.1 warns of; it pins nothing.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def client_of(database: Path) -> MlflowClient:
    from mlflow import MlflowClient  # four seconds, which not every worker of the tests need pay

    return MlflowClient(tracking_uri=f"sqlite:///{database}")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which takes it half a hundred migrations to make."""
    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    client_of(database).search_experiments()
    return database


@pytest.fixture
def out(empty_store: Path, tmp_path: Path) -> Path:
    """Where to export to."""
    (tmp_path / "out").mkdir()
    return Path(shutil.copy(empty_store, tmp_path / "out")).parent


def read(where: Path, project: str = "quick") -> dict[str, Any]:
    """Every active run by its name."""
    client = client_of(where / "mlflow.db")
    experiment = client.get_experiment_by_name(project)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


@pytest.fixture(scope="module")
def exported(tables: Tables, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mlflow")
    assert "12 new" in export(tables, folder, str(out))
    return out


def test_a_run_has_its_parameters_metrics_tags_and_times(exported: Path, tables: Tables) -> None:
    runs = read(exported)
    assert len(runs) == 12
    run = runs["early_bird, seed 0"]
    row = tables.runs[(tables.runs["arm"] == "early_bird") & (tables.runs["seed"] == 0)].iloc[0]
    assert run.data.params["method"] == "early_bird"
    assert run.data.params["prune_ratio"] == "0.5"
    assert run.data.params["search_epochs"] == "None"
    assert run.data.params["training.learning_rate"] == "0.1"
    assert run.data.params["workload.model"] == "vgg_small"
    assert "workload.root" not in run.data.params
    for name in ("test_score", "energy_j", "uncertainty_j", "co2e_kg", "duration_s"):
        assert run.data.metrics[name] == row[name]
    assert run.data.metrics["ticket_epoch"] == 8
    assert run.data.tags["status"] == "done"
    assert run.data.tags["energy_standing"] == run.data.tags["energy_source"] == "estimated"
    assert run.data.tags["ticket_emerged"] == str(row["ticket_emerged"])
    assert run.data.tags["mlflow.note.content"].startswith("Estimated energy of cpu+dram")
    assert run.info.status == "FINISHED"
    started = datetime.fromisoformat(row["started_at"]).timestamp() * 1000
    assert run.info.start_time == started
    assert run.info.end_time == pytest.approx(started + row["duration_s"] * 1000, abs=1)


def test_phases_add_up_to_the_run(exported: Path) -> None:
    for run in read(exported).values():
        phases = [v for key, v in run.data.metrics.items() if key.startswith("phase_energy_j.")]
        assert len(phases) > 3
        assert math.fsum(phases) == pytest.approx(run.data.metrics["energy_j"])


def test_the_curve_is_a_history_by_epochs_at_its_moments(exported: Path, tables: Tables) -> None:
    run = read(exported)["dense, seed 1"]
    client = client_of(exported / "mlflow.db")
    curve = tables.curves[(tables.curves["arm"] == "dense") & (tables.curves["seed"] == 1)]
    history = client.get_metric_history(run.info.run_id, "cumulative_energy_j")
    assert [each.step for each in history] == curve["epochs_trained"].tolist()
    assert [each.value for each in history] == curve["energy_j"].tolist()
    moments = [run.info.start_time, *(each.timestamp for each in history), run.info.end_time]
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)
    accuracies = client.get_metric_history(run.info.run_id, "val_score")
    assert [each.value for each in accuracies[:-1]] == curve["val_score"].tolist()


def test_a_result_is_a_metrics_latest_value(
    tables: Tables, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "runs", tables.runs.assign(val_score=0.5))
    export(tables, folder, str(out))
    assert {run.data.metrics["val_score"] for run in read(out).values()} == {0.5}


def test_exporting_again_changes_nothing(exported: Path, tables: Tables, folder: Path) -> None:
    before = {name: run.info.run_id for name, run in read(exported).items()}
    assert "12 unchanged" in export(tables, folder, str(exported))
    assert {name: run.info.run_id for name, run in read(exported).items()} == before


def test_a_run_that_changed_takes_the_place_of_the_old_one(ills: Path, out: Path) -> None:
    project = _project(export(Tables(ills), ills, str(out)))
    before = read(out, project)["dense, seed 2"].info.run_id
    fail(ills / "runs/dense/seed-2/journal.jsonl")
    assert "1 replaced, 3 unchanged" in export(Tables(ills), ills, str(out))
    after = read(out, project)["dense, seed 2"]
    assert after.info.run_id != before
    assert after.info.status == "FAILED"


def test_an_export_that_broke_off_is_made_good(
    tables: Tables, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.MlflowClient.set_terminated", broken)
    with pytest.raises(KeyboardInterrupt):
        export(tables, folder, str(out))
    monkeypatch.undo()
    assert "11 new, 1 replaced" in export(tables, folder, str(out))
    assert {run.info.status for run in read(out).values()} == {"FINISHED"}


def test_the_same_settings_run_elsewhere_are_another_run(ills: Path, out: Path) -> None:
    export(Tables(ills), ills, str(out))
    for journal in ills.rglob("journal.jsonl"):
        journal.write_text(journal.read_text().replace('"host": "vm"', '"host": "other"'))
        journal.write_text(journal.read_text().replace('"host":"vm"', '"host":"other"'))
    assert "4 new" in export(Tables(ills), ills, str(out))


def test_nothing_stands_in_for_what_is_unknown(ills: Path, out: Path) -> None:
    runs = read(out, _project(export(Tables(ills), ills, str(out))))
    failed, unknown, simulated = (runs[f"dense, seed {seed}"] for seed in range(3))
    assert failed.info.status == "FAILED"
    assert failed.data.tags["reason"] == "loss is not finite"
    assert "test_score" not in failed.data.metrics
    assert failed.data.metrics["energy_j"] > 0
    assert unknown.info.status == "FINISHED"
    assert unknown.data.tags["energy_standing"] == "unknown"
    assert unknown.data.metrics["val_score"] > 0.9
    assert [key for key in unknown.data.metrics if key.endswith("_j") or "co2e" in key] == []
    assert simulated.data.tags["energy_standing"] == "simulated"
    assert simulated.data.tags["mlflow.note.content"].startswith("Simulated energy")


def test_hostile_names_are_text_and_nothing_else(
    ills: Path, tmp_path: Path, written: Callable[[], set[Path]]
) -> None:
    before, out = written(), tmp_path / "out"
    project = _project(export(Tables(ills), ills, str(out)))
    assert {path.name for path in written() - before} == {"mlflow.db"}
    [run] = [each for each in read(out, project).values() if "ticket_epoch" in each.data.metrics]
    assert run.data.params["method"].startswith(MARKUP)
    assert run.data.tags["word"] == MARKUP
    metrics = {key: value for key, value in run.data.metrics.items() if value in {1.5, 2, 3, 4}}
    assert sorted(metrics.values()) == [1.5, 2, 3, 4]
    assert all(set("/<>\"' ").isdisjoint(key) for key in run.data.metrics)


def test_the_users_server_is_used_unless_a_place_is_asked_for(
    ills: Path, out: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{out / 'mlflow.db'}")
    report = export(Tables(ills), ills, None)
    assert report.startswith(f"sqlite:///{out / 'mlflow.db'}")
    assert len(read(out, _project(report))) == 4
    assert "4 unchanged" in export(Tables(ills), ills, f"sqlite:///{out / 'mlflow.db'}")
    other = shutil.copytree(empty_store.parent, out / "elsewhere")
    assert "4 new" in export(Tables(ills), ills, str(other))


def test_what_mlflow_refuses_is_reported_in_its_words(ills: Path, out: Path) -> None:
    project = _project(export(Tables(ills), ills, str(out)))
    client = client_of(out / "mlflow.db")
    experiment = client.get_experiment_by_name(project)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(UsageError, match=r"^mlflow, sqlite.*active"):
        export(Tables(ills), ills, str(out))


def _project(report: str) -> str:
    """The experiment's name, as an export says it."""
    return report.partition("experiment ")[2].partition(":")[0]


@pytest.mark.parametrize("wish", [None, "false"])
def test_mlflow_sends_no_telemetry_unless_the_user_wants_it_to(
    exported: Path,
    tables: Tables,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    wish: str | None,
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", wish or "")
    if wish is None:
        monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    export(tables, folder, str(exported))
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == (wish or "true")
