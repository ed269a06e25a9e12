"""The main job as a user does it, on real data: run, interrupt, kill, resume, extend, report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import harness as public
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.run_energy import Ledger
from harness.settings.run_spec import SCHEMA
from tests import prepared
from tests.conftest import REPOSITORY, Harness
from tests.scheduler.started import nothing_left, runs_of, started, wait_until

SHORT = (
    *("--set", "training.epochs=3", "--set", "training.batch_size=64"),
    *("--set", "workload.train_samples=480", "--out", "out"),
)

PLUGIN = '''"""A late prune: does drawing the ticket early cost accuracy?"""

from harness import ChannelPruningMethod, Ratio, Shrink, Train


class PruneHalfway(ChannelPruningMethod):
    """Prune once half of the budget is spent, whatever the mask does."""

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop."""

    def phases(self, budget):
        half = budget.epochs // 2
        yield Train("search", epochs=half, l1_gamma=1e-4)
        yield Shrink((yield self.ticket(self.prune_ratio)))
        yield Train("retrain", epochs=budget.epochs - half)
'''


def final_weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(folder.checkpoint, weights_only=True)["state"]["network"]


def records(out: Path) -> dict[str, bytes]:
    """Everything raw: what no report may touch."""
    files = [p for p in (out / "runs").rglob("*") if p.suffix in {".jsonl", ".parquet"}]
    return {str(p): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four methods and a plugin, two seeds, run to the end; the folder of the results."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "mine.py").write_text(PLUGIN)
    assert len(PLUGIN.splitlines()) <= 25
    ended = subprocess.run(
        [
            *(prepared.python(), "-m", "harness"),
            *("--plugin", "mine.py", "--seed", "0", "--seed", "1"),
            *SHORT,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (folder / "stdout").write_text(ended.stdout)
    return folder / "out"


def test_the_table_has_a_row_a_run_with_what_was_promised(study: Path) -> None:
    table = public.load(study)
    methods = ["dense", "progressive", "lottery_ticket", "early_bird", "prune_halfway"]
    assert sorted(zip(table["method"], table["seed"], strict=True)) == sorted(
        (method, seed) for method in methods for seed in (0, 1)
    )
    assert set(table["status"]) == {"done"}
    assert table["test_score"].between(0, 1).all()
    assert (table["energy_j"] > 0).all()
    assert (table["uncertainty_j"] >= 0.4 * table["energy_j"]).all()
    assert set(table["energy_source"]) == {"estimated"}
    assert table["energy_note"].str.contains("W per busy thread").all()
    assert (table["coverage"] == 1).all()
    assert (table["duration_s"] > 0).all()
    assert (table["co2e_kg"] > 0).all()
    shrunk = table["method"].isin(["progressive", "early_bird", "prune_halfway"])
    assert (table.loc[shrunk, "parameters"] < table.loc[shrunk, "dense_parameters"]).all()
    masked = table["method"] == "lottery_ticket"
    assert (table.loc[masked, "macs"] == table.loc[masked, "dense_macs"]).all()
    assert (table.loc[masked, "density"] < 0.7).all()
    assert "prune_ratio" in table.columns


def test_csv_and_parquet_hold_the_same_table(study: Path) -> None:
    table = public.load(study)
    parquet = pd.read_parquet(study / "runs.parquet")
    pd.testing.assert_frame_equal(parquet, table, check_dtype=False)
    csv = pd.read_csv(study / "runs.csv")
    assert list(csv.columns) == list(table.columns)
    assert csv["energy_j"].to_numpy() == pytest.approx(table["energy_j"].to_numpy())


def test_windows_tile_every_run(study: Path) -> None:
    for folder in runs_of(study).values():
        ledger = Ledger(folder)
        parts = sum(entry.joules.energy_j for entry in ledger.entries)
        assert parts == pytest.approx(ledger.outer.energy_j, rel=1e-6)


def test_the_energy_can_be_recomputed_from_the_raw_records_by_hand(study: Path) -> None:
    """Without any of our code: interpolate both sensors at the first and the last event."""
    table = public.load(study).set_index(["method", "seed"])
    for folder in runs_of(study).values():
        spec = json.loads(folder.spec.read_text())
        times = [json.loads(line)["time_ns"] for line in folder.journal.read_text().splitlines()]
        lines = pd.read_parquet(folder.path / "trace-1.parquet")
        cpu_j, memory_w = (lines[lines["sensor"] == number] for number in (0, 1))
        ends = [times[0], times[-1]]
        drawn_j = np.diff(np.interp(ends, cpu_j["time_ns"], cpu_j["value"]))[0]
        mean_w = memory_w["value"].mean()
        by_hand = drawn_j + mean_w * (ends[1] - ends[0]) * 1e-9
        row = table.loc[(spec["method"], spec["seed"])]
        slack_j = row["border_j"] + 0.1 * mean_w * (ends[1] - ends[0]) * 1e-9
        assert row["energy_j"] == pytest.approx(by_hand, abs=slack_j)
        assert slack_j < 0.05 * by_hand


def test_it_ends_with_a_table_a_sentence_and_a_page(study: Path) -> None:
    output = (study.parent / "stdout").read_text()
    assert "estimated" in output
    assert "of dense's estimated energy" in " ".join(output.split())
    page = (study / "report" / "index.html").read_text()
    assert "estimated" in page
    for figure in ("score_curves", "score_energy", "energy_phases"):
        for ending in ("svg", "png", "csv"):
            assert (study / "report" / "figures" / f"{figure}.{ending}").stat().st_size > 0


def test_there_is_a_plain_line_an_epoch(study: Path) -> None:
    output = (study.parent / "stdout").read_text()
    assert output.count("dense, seed 0: train epoch") == 3
    assert re.search(r"^\[[1-5]/10\] dense, seed 0: train epoch 1/3 · loss", output, re.MULTILINE)


def test_the_plugins_hyper_parameters_are_described_and_checked(
    study: Path, harness: Harness
) -> None:
    plugin = str(study.parent / "mine.py")
    output = harness("describe", "prune_halfway", "--plugin", plugin).stdout
    assert "prune_ratio = 0.5  (float, > 0, < 1)\n      Share of the channels to drop." in output
    wrong = harness("--plugin", plugin, "--set", "methods.prune_halfway.prune_ratio=1.5")
    assert wrong.returncode == 2
    assert "methods.prune_halfway.prune_ratio: should be less than 1" in wrong.stderr


def test_a_method_of_an_installed_package_runs_by_its_name(
    study: Path, harness: Harness, tmp_path: Path
) -> None:
    package = tmp_path / "site"
    info = package / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "theirs.py").write_text((study.parent / "mine.py").read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[energy_harness.methods]\nhalfway = theirs:PruneHalfway\n"
    )
    path = os.pathsep.join([str(package), str(REPOSITORY)])
    ended = harness("prune_halfway", "--seed", "0", *SHORT, env={"PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr
    [row] = public.load(tmp_path / "out").to_dict("records")
    assert (row["method"], row["status"], row["prune_ratio"]) == ("prune_halfway", "done", 0.5)


def test_running_again_repeats_nothing(study: Path, harness: Harness) -> None:
    before = records(study)
    ended = harness(
        *("dense", "early_bird", "--seed", "0", "--seed", "1"),
        *(*SHORT[:-1], str(study)),
    )
    assert ended.returncode == 0
    assert ended.stdout.count("done already") == 4
    assert records(study) == before


def test_other_settings_are_refused_in_the_same_folder(study: Path, harness: Harness) -> None:
    ended = harness("dense", "--set", "workload.train_samples=480", "--out", str(study))
    assert ended.returncode == 2
    assert "holds runs with training.epochs = 3, not 16" in ended.stderr


def test_report_needs_no_torch_and_changes_no_record(
    study: Path, fresh_harness: Harness, tmp_path: Path
) -> None:
    before, table = records(study), (study / "runs.csv").read_bytes()
    figure = (study / "report" / "figures" / "energy_phases.svg").read_bytes()
    (study / "runs.csv").unlink()
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch here')")
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    ended = fresh_harness("report", str(study), env={"PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr
    assert (study / "runs.csv").read_bytes() == table
    assert (study / "report" / "figures" / "energy_phases.svg").read_bytes() == figure
    assert records(study) == before


def test_results_of_a_newer_version_are_refused_with_a_sentence(
    study: Path, harness: Harness, tmp_path: Path
) -> None:
    saved = json.loads((study / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**saved, "schema_version": 99}))
    ended = harness("report", ".")
    assert ended.returncode == 2
    assert f"written in format 99, this version reads up to {SCHEMA}" in ended.stderr


def test_a_loss_that_is_no_number_ends_the_run(harness: Harness, tmp_path: Path) -> None:
    ended = harness("dense", "--seed", "0", *SHORT, "--set", "training.learning_rate=1e6")
    assert ended.returncode == 3
    [reason] = public.load(tmp_path / "out")["reason"]
    assert "the training loss became nan in epoch" in reason
    assert f"failed: {reason}" in ended.stdout
    assert "--retry-failed" in ended.stderr


@pytest.mark.parametrize(
    ("after_s", "fresh"), [(0.0, False), (0.02, False), (0.05, False), (0.1, True), (3.0, False)]
)
def test_ctrl_c_before_training_began_is_reported_without_a_traceback(
    after_s: float, fresh: bool, tmp_path: Path
) -> None:
    orchestrator = started(tmp_path, "dense", *SHORT, fresh=fresh)
    assert orchestrator.stdout.readline().startswith("study quick: 3 runs of vgg_small on digits")
    time.sleep(after_s)
    os.killpg(orchestrator.pid, signal.SIGINT)
    output, _ = orchestrator.communicate(timeout=60)
    assert orchestrator.returncode == 130
    assert "Traceback" not in output
    assert "run the same command again to resume" in output


def test_ended_by_ctrl_c_and_run_again_it_ends_the_same(
    study: Path, harness: Harness, tmp_path: Path
) -> None:
    words = ("lottery_ticket", "--seed", "0", *SHORT)
    orchestrator = started(tmp_path, *words)
    [name] = [name for name in runs_of(study) if name.startswith("lottery") and name.endswith("0")]
    folder = RunFolder(tmp_path / "out" / "runs" / name)
    wait_until(lambda: len(Journal(folder).events("epoch")) >= 2, "two epochs are done")
    with nothing_left(orchestrator, tmp_path / "out"):
        os.killpg(orchestrator.pid, signal.SIGINT)
    output, _ = orchestrator.communicate()
    assert orchestrator.returncode == 130
    assert "run the same command again to resume" in output
    assert "Traceback" not in output
    assert Journal(folder).status == "interrupted"

    assert harness(*words).returncode == 0
    theirs = final_weights(runs_of(study)[name])
    for key, value in final_weights(folder).items():
        assert torch.equal(value, theirs[key]), key
    ledger = Ledger(folder)
    assert len(ledger.journal.attempts) == 2
    parts = sum(entry.joules.energy_j for entry in ledger.entries)
    assert parts == pytest.approx(ledger.outer.energy_j, rel=1e-6)
    assert {entry.window.attempt for entry in ledger.entries} == {1, 2}
