"""What Weights & Biases would upload is what the tables say, and nothing is uploaded unasked."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from harness.errors import UsageError
from harness.integrations.exporters.to_wandb import export
from harness.results.table import Tables
from tests.integrations.exporters.conftest import MARKUP

BLOCK, HEADER = 32768, 7


@dataclass
class Written:
    """One run's offline file, read back."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None


def records(path: Path) -> Iterator[Any]:
    """The records of a file: LevelDB's log format, which wandb's Python part has no reader for."""
    data, at, whole = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in {1, 4}:  # a whole record, or its last part
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def read(path: Path) -> Written:
    found = Written()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            found.history.append({i.nested_key[0]: json.loads(i.value_json) for i in items})
        elif kind == "summary":
            for each in record.summary.update:
                found.summary[each.key or ".".join(each.nested_key)] = json.loads(each.value_json)
        elif kind == "metric":
            found.steps[record.metric.name] = record.metric.step_metric
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def read_all(out: Path) -> dict[str, Written]:
    """Every run in an export by its name."""
    found = [read(path) for path in out.glob("wandb/offline-run-*/run-*.wandb")]
    assert len({each.run.display_name for each in found}) == len(found)
    return {each.run.display_name: each for each in found}


@pytest.fixture(scope="module")
def exported(tables: Tables, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wandb")
    report = export(tables, folder, str(out))
    assert report.startswith(f"{out}: 12 runs, offline\nupload: wandb sync ")
    return out


def test_a_run_has_its_config_group_and_summary(exported: Path, tables: Tables) -> None:
    runs = read_all(exported)
    assert len(runs) == 12
    run = runs["early_bird, seed 0"]
    row = tables.runs[(tables.runs["arm"] == "early_bird") & (tables.runs["seed"] == 0)].iloc[0]
    assert run.run.project == "quick"
    assert run.run.run_group == "early_bird"
    assert list(run.run.tags) == ["estimated energy", "done"]
    assert run.run.notes.startswith("Estimated energy of cpu+dram")
    assert run.run.host == row["host"]
    assert run.config["method"] == "early_bird"
    assert run.config["prune_ratio"] == 0.5
    assert run.config["search_epochs"] is None
    assert run.config["training.epochs"] == 16
    assert run.config["energy_standing"] == "estimated"
    for name in ("test_score", "energy_j", "uncertainty_j", "co2e_kg", "duration_s"):
        assert run.summary[name] == pytest.approx(row[name])
    assert run.summary["energy_source"] == "estimated"
    assert run.summary["started"] == row["started_at"]
    assert run.exit_code == 0


def test_the_history_is_accuracy_against_energy(exported: Path, tables: Tables) -> None:
    run = read_all(exported)["lottery_ticket, seed 2"]
    curve = tables.curves[(tables.curves["arm"] == "lottery_ticket") & (tables.curves["seed"] == 2)]
    assert run.steps["val_score"] == "cumulative_energy_j"
    for key, column in (
        ("_step", "epochs_trained"),
        ("epochs_trained", "epochs_trained"),
        ("val_score", "val_score"),
        ("cumulative_energy_j", "energy_j"),
    ):
        assert [each[key] for each in run.history] == pytest.approx(curve[column].tolist())
    moments = [each["_timestamp"] for each in run.history]
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] < run.summary["duration_s"]


def test_a_result_is_not_overwritten_by_the_end_of_the_curve(
    tables: Tables, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "runs", tables.runs.assign(val_score=0.5))
    export(tables, folder, str(tmp_path))
    assert {run.summary["val_score"] for run in read_all(tmp_path).values()} == {0.5}


def test_exporting_again_leaves_one_of_each(exported: Path, tables: Tables, folder: Path) -> None:
    before = {name: run.run.run_id for name, run in read_all(exported).items()}
    export(tables, folder, str(exported))
    assert {name: run.run.run_id for name, run in read_all(exported).items()} == before


def test_nothing_stands_in_for_what_is_unknown(ills: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(Tables(ills), ills, str(out))
    runs = read_all(out)
    failed, unknown, simulated = (runs[f"dense, seed {seed}"] for seed in range(3))
    assert failed.exit_code == 1
    assert failed.summary["reason"] == "loss is not finite"
    assert "test_score" not in failed.summary
    assert list(unknown.run.tags) == ["unknown energy", "done"]
    assert unknown.exit_code == 0
    assert [key for key in unknown.summary if key.endswith("_j") or "co2e" in key] == []
    assert all("cumulative_energy_j" not in each for each in unknown.history)
    assert len(unknown.history) == 16
    assert list(simulated.run.tags) == ["simulated energy", "done"]


def test_hostile_names_are_text_and_nothing_else(
    ills: Path, tmp_path: Path, written: Callable[[], set[Path]]
) -> None:
    before, out = written(), tmp_path / "out"
    export(Tables(ills), ills, str(out))
    assert all(path.is_relative_to(out / "wandb") for path in written() - before)
    [run] = [each for each in read_all(out).values() if "ticket_epoch" in each.summary]
    assert run.config["method"].startswith(MARKUP)
    assert run.summary["word"] == MARKUP
    assert len(run.run.display_name) <= 128
    assert len(run.run.run_group) <= 128
    assert set("/\\#?%:").isdisjoint(run.run.project)


KEY = "0123456789" * 4
SERVER = "127.0.0.1:9"
"""Where no server answers."""


class AskedError(Exception):
    """Says what wandb was asked for, in place of doing it."""


@pytest.fixture
def asked_mode(
    tables: Tables, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | None], str]:
    def refuse(**options: Any) -> None:
        raise AskedError(options["settings"].mode)

    def ask(out: str | None) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(wandb, "init", refuse)
            with pytest.raises(AskedError) as asked:
                export(tables, folder, out)
        return str(asked.value)

    return ask


def test_it_is_offline_for_a_stranger(asked_mode: Callable[[str | None], str]) -> None:
    assert asked_mode(None) == "offline"


@pytest.mark.parametrize("key", [True, False])
def test_who_is_logged_in_uploads_unless_files_are_asked_for(
    asked_mode: Callable[[str | None], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    key: bool,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://{SERVER}")
    monkeypatch.setenv("WANDB_X_DISABLE_VIEWER", "true")  # do not even wait for an answer
    if key:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    else:
        (tmp_path / "netrc").write_text(f"machine {SERVER} login user password {KEY}")
    assert asked_mode(None) == "online"
    assert asked_mode(str(tmp_path / "files")) == "offline"


def test_the_mode_that_is_set_wins(
    asked_mode: Callable[[str | None], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert asked_mode(None) == "offline"
    monkeypatch.setenv("WANDB_MODE", "online")
    assert asked_mode(str(tmp_path / "files")) == "online"


def test_what_wandb_refuses_is_reported_in_its_words(
    tables: Tables, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise wandb.Error("no such team")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UsageError, match="wandb: no such team"):
        export(tables, folder, str(tmp_path))
