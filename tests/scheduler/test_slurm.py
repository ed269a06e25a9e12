"""A study as jobs of a real Slurm: whatever happens to them, every run is done once."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

import harness as public
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.status import status_of
from harness.results.submission import submissions
from harness.scheduler.squeue import jobs_of
from tests import prepared
from tests.scheduler.cluster import Cluster
from tests.scheduler.started import called, runs_of, wait_until

PAUSED = '''
import os
import time
from pathlib import Path

from harness.method.base import Method
from harness.method.phases import Train


class Paused(Method):
    """Dense training that waits in the middle, if its job is to be caught in the act."""

    def phases(self, budget):
        yield Train("train", epochs=1)
        sign = Path(os.environ.get("WAIT", "")) / os.environ.get("SLURM_ARRAY_TASK_ID", "here")
        while "WAIT" in os.environ and sign.exists():
            time.sleep(0.1)
        yield Train("train", epochs=budget.epochs - 1)
'''
STUDY = """
name = "several"
seeds = [0, 1]
plugins = ["paused.py"]

[workload]
data = "digits"
model = "vgg_small"
train_samples = 320

[training]
epochs = 3

[methods.dense]
[methods.paused]
[methods.dense_short]
match = "dense"

[engine.slurm]
gpu_type = "fake"
time_min = 5
warn_s = 15
prologue = ["echo the GPU is $CUDA_VISIBLE_DEVICES"]
"""
RUNS = 6
LIMITED, CANCELLED = "paused/seed-0", "paused/seed-1"
RESULTS = ["test_score", "val_score", "parameters", "macs", "epochs_trained", "status"]
LONG_S = 600


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "paused.py").write_text(PAUSED)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


@pytest.fixture(autouse=True)
def _jobs_have_imported_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But those to be caught in the act: Slurm signals what it started itself."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ntest -e "$WAIT/$SLURM_ARRAY_TASK_ID" '
        f'&& exec {sys.executable} "$@"\nexec {prepared.python()} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))


def events(run: RunFolder, kind: str) -> int:
    return len(Journal(run).events(kind))


def results(out: Path) -> pd.DataFrame:
    return public.load(out).set_index(["arm", "seed"])[RESULTS].sort_index()


@pytest.mark.usefixtures("cluster")
def test_what_the_cluster_refuses_is_reported_in_its_words(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", str(study), "--engine", "slurm", "--out", str(out))
    ended = called(*words, "--set", "engine.slurm.partition=huge")
    assert ended.returncode == 2
    assert "the cluster refuses: sbatch: error: invalid partition specified: huge" in ended.stderr
    assert submissions(StudyFolder(out)) == []


def test_without_a_cluster_nothing_is_written(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "out"
    ended = called("run", str(study), "--engine", "slurm", "--out", str(out))
    assert ended.returncode == 2
    assert "cannot query Slurm: scontrol: not found" in ended.stderr
    assert not out.exists()


def test_runs_survive_a_cancelled_job_a_time_limit_and_a_new_controller(
    study: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    folder = StudyFolder(out)
    words = ("run", str(study), "--engine", "slurm", "--out", str(out), "--no-report")
    signs = tmp_path / "signs"
    signs.mkdir()
    monkeypatch.setenv("WAIT", str(signs))
    # No job begins before it is known which are to be caught.
    cluster.ask("scontrol", "update", "PartitionName=main", "State=DOWN")
    ended = called(*words)
    assert ended.returncode == 0, ended.stderr
    order = submissions(folder)[0].runs()
    sign = {name: signs / str(order.index(name)) for name in (LIMITED, CANCELLED)}
    for path in sign.values():
        path.touch()
    cluster.ask("scontrol", "update", "PartitionName=main", "State=UP")
    assert f"{RUNS} runs are queued" in ended.stdout
    again = called(*words)
    assert "; 0 to submit" in again.stdout, "what is in the queue is not submitted twice"

    def run(name: str) -> RunFolder:
        return RunFolder(out / "runs" / name)

    def trained(name: str) -> bool:
        return events(run(name), "checkpoint") > 0

    wait_until(lambda: trained(LIMITED), "the first is to be caught", LONG_S, period_s=0.2)
    limited = jobs_of(folder)[LIMITED].number
    cluster.ask("scontrol", "update", f"JobId={limited}", "TimeLimit=1")
    wait_until(
        lambda: Journal(run(LIMITED)).status == "interrupted" and _ended(run(LIMITED)),
        "it ends before its limit",
        LONG_S,
        period_s=0.2,
    )
    sign[LIMITED].unlink()
    waiting = "it is back in the queue"
    wait_until(lambda: jobs_of(folder)[LIMITED].state == "pending", waiting, period_s=0.5)
    cluster.ask("scontrol", "update", f"JobId={limited}", "TimeLimit=5")

    cluster.stop_controller()
    cluster.start_controller()

    wait_until(lambda: trained(CANCELLED), "the second is to be caught", LONG_S, period_s=0.2)
    cluster.ask("scancel", jobs_of(folder)[CANCELLED].number)
    sign[CANCELLED].unlink()
    wait_until(lambda: not jobs_of(folder), "the queue is empty", LONG_S, period_s=0.5)
    left = {name for name, each in runs_of(out).items() if status_of(each) != "done"}
    assert left == {CANCELLED}
    assert _ended(run(CANCELLED)), "it closed its last window"

    last = called(*words, "--wait")
    assert last.returncode == 0, last.stderr
    assert f"{CANCELLED}: its last job ended before it was done; see {out}" in last.stderr
    assert "; 1 to submit" in last.stdout
    assert "submitted array" in last.stdout
    assert called(*words).stdout.count("submitted array") == 0, "all are done"

    attempts = {name: Journal(each).attempts for name, each in runs_of(out).items()}
    assert len(attempts) == RUNS
    several = {name for name, tried in attempts.items() if len(tried) > 1}
    assert several == {LIMITED, CANCELLED}
    assert all(tried[-1].restored > 0 for name, tried in attempts.items() if name in several)
    for each in runs_of(out).values():
        assert events(each, "result") == 1, "none is done twice"
    _two_at_a_time(attempts, folder)

    monkeypatch.delenv("WAIT")
    here = tmp_path / "here"
    assert called("run", str(study), "--out", str(here), "--no-report").returncode == 0
    assert results(out).equals(results(here))


def _ended(run: RunFolder) -> bool:
    return Journal(run).attempts[-1].has_ended


def _two_at_a_time(attempts: dict[str, list], folder: StudyFolder) -> None:
    borders = []
    for attempt in (each for tried in attempts.values() for each in tried):
        borders += [(attempt.start_ns, 1), (attempt.events[-1]["time_ns"], -1)]
    at_work, most = 0, 0
    for _, change in sorted(borders):
        at_work += change
        most = max(most, at_work)
    assert most == 2
    logs = [path.read_text() for each in submissions(folder) for path in each.path.glob("*.out")]
    assert {line for log in logs for line in log.splitlines() if "the GPU is" in line} == {
        "the GPU is 0",
        "the GPU is 1",
    }


@pytest.mark.usefixtures("cluster")
def test_a_rule_submits_another_seed_once_the_jobs_before_it_have_ended(tmp_path: Path) -> None:
    """Two seeds decide nothing at so narrow a margin: the third follows, and no fourth."""
    out = tmp_path / "out"
    words = ("run", "dense", "magnitude_at_init", "--engine", "slurm", "--until-decided", "2-3")
    settings = (
        "training.epochs=1",
        "workload.train_samples=320",
        "engine.slurm.gpu_type=fake",
        "report.margin_points=0.01",
    )
    words += (*(word for each in settings for word in ("--set", each)), "--no-report")
    words += ("--out", str(out))
    ended = called(*words)
    assert ended.returncode == 0, ended.stderr
    assert "4 to submit" in ended.stdout
    assert "4 runs are queued" in ended.stdout
    ended = called(*words, "--wait")
    assert ended.returncode == 0, ended.stderr
    assert "0 to submit" in ended.stdout
    assert "2 to submit" in ended.stdout
    assert sorted(public.load(out)["seed"]) == [0, 0, 1, 1, 2, 2]
    assert called(*words).returncode == 0
    assert len(public.load(out)) == 6
