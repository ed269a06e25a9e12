"""TensorBoard's own reader sees what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.util.tensor_util import make_ndarray

from harness.integrations.exporters.to_tensorboard import export
from harness.results.table import Tables
from tests.integrations.exporters.conftest import MARKUP


def read(path: Path) -> EventAccumulator:
    return EventAccumulator(str(path), size_guidance={"tensors": 0}).Reload()


def series(run: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(each.step, float(make_ndarray(each.tensor_proto))) for each in run.Tensors(tag)]


def tags(run: EventAccumulator) -> set[str]:
    return set(run.Tags()["tensors"])


@pytest.fixture(scope="module")
def exported(tables: Tables, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tensorboard")
    assert "12 runs" in export(tables, folder, str(out))
    return out


def test_accuracy_is_there_by_epochs_and_by_energy(exported: Path, tables: Tables) -> None:
    run = read(exported / "dense" / "seed-1")
    curve = tables.curves[(tables.curves["arm"] == "dense") & (tables.curves["seed"] == 1)]
    by_epoch = series(run, "val_score/by_epoch")
    assert [step for step, _ in by_epoch] == curve["epochs_trained"].tolist()
    assert [value for _, value in by_epoch] == pytest.approx(curve["val_score"].tolist())
    by_energy = series(run, "val_score/by_estimated_mJ")
    joules = [step / 1000 for step, _ in by_energy]
    assert joules == pytest.approx(curve["energy_j"].tolist(), abs=5e-4)
    assert [value for _, value in by_energy] == [value for _, value in by_epoch]
    spent = series(run, "estimated_cumulative_energy_j/by_epoch")
    assert [value for _, value in spent] == pytest.approx(curve["energy_j"].tolist())


def test_moments_are_those_of_the_run(exported: Path, tables: Tables) -> None:
    run = read(exported / "dense" / "seed-1")
    row = tables.attempts[(tables.attempts["arm"] == "dense") & (tables.attempts["seed"] == 1)]
    from datetime import datetime

    started = datetime.fromisoformat(row["started_at"].iloc[0]).timestamp()
    times = [each.wall_time for each in run.Tensors("val_score/by_epoch")]
    assert times == sorted(times)
    assert started < times[0] < times[-1] < started + row["duration_s"].iloc[0]
    [result] = run.Tensors("result/energy_j")
    assert result.wall_time == pytest.approx(started + row["duration_s"].iloc[0])


def test_results_say_what_their_energy_is_worth(exported: Path, tables: Tables) -> None:
    for row in tables.runs.to_dict("records"):
        path = tables.folder(row["arm"], row["seed"]).path
        run = read(exported / path.parent.name / path.name)
        for name in ("test_score", "energy_j", "uncertainty_j", "co2e_kg", "duration_s"):
            [(step, value)] = series(run, f"result/{name}")
            assert value == pytest.approx(row[name], rel=1e-6)
            assert step == row["epochs_trained"]
        about = run.SummaryMetadata("result/energy_j").summary_description
        assert about.startswith("Estimated energy of cpu+dram")


def hparams(run: EventAccumulator) -> tuple[dict[str, Any], int]:
    start = metadata.parse_session_start_info_plugin_data(
        run.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    end = metadata.parse_session_end_info_plugin_data(
        run.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    )
    values = {
        key: getattr(value, str(value.WhichOneof("kind"))) for key, value in start.hparams.items()
    }
    return values, end.status


def test_hyper_parameters_are_in_their_own_tab(exported: Path) -> None:
    values, status = hparams(read(exported / "early_bird" / "seed-2"))
    assert status == Status.STATUS_SUCCESS
    assert values["method"] == values["arm"] == "early_bird"
    assert values["seed"] == 2
    assert values["prune_ratio"] == 0.5
    assert values["reinit"] is False
    assert values["training.schedule"] == "cosine"
    assert values["energy"] == "estimated"
    assert "search_epochs" not in values


def test_exporting_again_replaces_ours_and_nothing_else(
    tables: Tables, folder: Path, tmp_path: Path
) -> None:
    export(tables, folder, str(tmp_path))
    [ours] = (tmp_path / "dense" / "seed-0").iterdir()
    theirs = ours.with_name("events.out.tfevents.1.theirs")
    theirs.write_bytes(ours.read_bytes())
    export(tables, folder, str(tmp_path))
    left = set((tmp_path / "dense" / "seed-0").iterdir())
    assert theirs in left
    assert len(left) == 2
    assert ours not in left


def test_nothing_stands_in_for_what_is_unknown(ills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(Tables(ills), ills, str(out))
    failed, unknown, simulated = (read(out / "dense" / f"seed-{seed}") for seed in range(3))
    assert hparams(failed)[1] == Status.STATUS_FAILURE
    assert "result/test_score" not in tags(failed)
    assert series(failed, "result/energy_j")[0][1] > 0
    assert hparams(unknown)[0]["energy"] == "unknown"
    assert len(series(unknown, "val_score/by_epoch")) == 16
    assert [tag for tag in tags(unknown) if tag.endswith(("J", "_j")) or "energy_j" in tag] == []
    assert "val_score/by_simulated_mJ" in tags(simulated)
    assert hparams(simulated)[0]["energy"] == "simulated"


def test_many_joules_are_steps_of_one(
    tables: Tables, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tables.curves.assign(energy_j=tables.curves["energy_j"] * 1e6)
    monkeypatch.setattr(tables, "curves", large)
    export(tables, folder, str(tmp_path))
    steps = [
        step for step, _ in series(read(tmp_path / "dense/seed-0"), "val_score/by_estimated_J")
    ]
    curve = large[(large["arm"] == "dense") & (large["seed"] == 0)]
    assert steps == [round(value) for value in curve["energy_j"]]


def test_hostile_names_write_nothing_elsewhere(
    ills: Path, tmp_path: Path, written: Callable[[], set[Path]]
) -> None:
    before, out = written(), tmp_path / "out"
    export(Tables(ills), ills, str(out))
    new = written() - before
    assert {path.parent.relative_to(out).as_posix() for path in new} == {
        "dense/seed-0",
        "dense/seed-1",
        "dense/seed-2",
        "early_bird/seed-0",
    }
    run = read(out / "early_bird" / "seed-0")
    assert hparams(run)[0]["method"].startswith(MARKUP)
    assert not any("<" in tag for tag in tags(run))
