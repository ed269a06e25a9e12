"""The worker command, and several runs at a time: as good as one after another."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

import harness as public
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from tests.scheduler.started import called, nothing_left, runs_of, started, wait_until

FEW = ("--set", "workload.train_samples=480")
STUDY = ("dense", "early_bird", "--set", "training.epochs=4", *FEW, "--no-report", "--out")
RESULTS = ["test_score", "val_score", "parameters", "macs", "epochs_trained", "status"]


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("in_turn") / "out"
    ended = called(*STUDY, str(out), "--seed", "0")
    assert ended.returncode == 0, ended.stderr
    return out


def test_two_at_a_time_give_the_same_results_and_share_the_host(
    in_turn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = called(*STUDY, str(out), "--seed", "0", "--set", "engine.at_once=2")
    assert ended.returncode == 0, ended.stderr
    one, two = (public.load(path).set_index("method")[RESULTS] for path in (in_turn, out))
    assert two.sort_index().equals(one.sort_index())
    attempts = [Journal(run).attempts[0] for run in runs_of(out).values()]
    ends_ns = [attempt.events[-1]["time_ns"] for attempt in attempts]
    assert max(attempt.start_ns for attempt in attempts) < min(ends_ns), "they overlap"


def test_a_worker_goes_on_with_one_run_and_leaves_a_finished_one_alone(
    in_turn: Path,
) -> None:
    spec = runs_of(in_turn)["dense/seed-0"].spec
    before = runs_of(in_turn)["dense/seed-0"].journal.read_bytes()
    again = called("worker", str(spec))
    assert again.returncode == 0
    assert "dense, seed 0: done already" in again.stdout
    assert runs_of(in_turn)["dense/seed-0"].journal.read_bytes() == before

    # Another seed, specified by hand within the results folder.
    other = {**json.loads(spec.read_text()), "seed": 7}
    (in_turn / "other.json").write_text(json.dumps(other))
    assert called("worker", str(in_turn / "other.json")).returncode == 0
    found = public.load(in_turn)
    assert list(found[found["seed"] == 7]["status"]) == ["done"]


def test_a_worker_does_not_go_on_with_another_run_under_the_same_name(in_turn: Path) -> None:
    spec = runs_of(in_turn)["dense/seed-0"].spec
    other = json.loads(spec.read_text())
    other["training"]["epochs"] = 3
    (in_turn / "other.json").write_text(json.dumps(other))
    ended = called("worker", str(in_turn / "other.json"))
    assert ended.returncode == 2
    assert "holds a run with other settings under the same name" in ended.stderr


def test_what_waits_for_another_run_is_worked_on_after_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = called(
        *("dense", "early_bird", "dense_short", "--seed", "0", "--no-report", "--out", str(out)),
        *("--set", "training.epochs=2", "--set", "engine.at_once=3", *FEW),
        *("--set", "methods.dense_short.match=early_bird"),
    )
    assert ended.returncode == 0, ended.stderr
    table = public.load(out)
    assert set(table["status"]) == {"done"}
    assert set(table["attempts"]) == {1}


def test_all_gpus_cannot_be_of_several_runs_at_once(tmp_path: Path) -> None:
    ended = called("--set", "engine.at_once=2", "--set", "energy.gpus=all", "--out", str(tmp_path))
    assert ended.returncode == 2
    assert "would count GPUs of one run for another" in ended.stderr


def test_a_worker_says_what_is_wrong_with_its_specification(tmp_path: Path) -> None:
    stray = tmp_path / "spec.json"
    stray.write_text("{}")
    for path, why in ((tmp_path / "none.json", "damaged"), (stray, "written in format None")):
        ended = called("worker", str(path))
        assert ended.returncode == 2
        assert why in ended.stderr


def test_interrupted_both_close_their_last_windows_and_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("dense", "early_bird", "--seed", "0", "--no-report", "--out", str(out))
    two = ("--set", "engine.at_once=2", "--set", "training.epochs=200")
    first = started(tmp_path, *words, *two)
    wait_until(
        lambda: len(runs_of(out)) == 2 and all(map(_has_trained, runs_of(out).values())),
        "both have trained an epoch",
    )
    with nothing_left(first, out):
        first.send_signal(signal.SIGINT)
    first.communicate()
    assert first.returncode == 130
    for run in runs_of(out).values():
        journal = Journal(run)
        ended = (journal.status, journal.attempts[-1].has_ended)
        assert ended == ("interrupted", True), (journal.reason, run.log.read_text())
        assert journal.reason == "the harness was stopped"
        assert not list(run.path.glob("trace-*.jsonl")), "traces are packed"


DEAF = """
import time
from pathlib import Path

from harness import Do, Method, Train


class Deaf:
    \"\"\"What is raised while it is deleted is printed, and lost.\"\"\"

    def __del__(self):
        try:
            Path("{here}").touch()
            time.sleep(30)
        except BaseException:
            Path("{here}").unlink()
            raise


class DeafOnce(Method):
    def phases(self, budget):
        yield Do("listen", lambda network, data: Deaf() and None)
        yield Train("train", epochs=budget.epochs)
"""


def test_a_stop_that_python_cannot_raise_is_tried_again(tmp_path: Path) -> None:
    """It comes in a `__del__`, as it may in any callback of the garbage collector."""
    out, deaf = tmp_path / "out", tmp_path / "deaf"
    (tmp_path / "deaf_once.py").write_text(DEAF.format(here=deaf))
    words = ("deaf_once", "--plugin", "deaf_once.py", "--seed", "0", "--no-report")
    first = started(tmp_path, *words, "--set", "training.epochs=300", "--out", str(out))
    wait_until(deaf.exists, "the run is where nothing can be raised", 60)
    with nothing_left(first, out):
        first.send_signal(signal.SIGINT)
    first.communicate()
    assert first.returncode == 130
    assert not deaf.exists(), "the first was raised, and lost"
    [run] = runs_of(out).values()
    assert Journal(run).attempts[-1].has_ended, run.log.read_text()
    assert "ignored" not in run.log.read_text()


def test_so_is_one_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work(**_: object) -> None:
        Deaf()
        time.sleep(30)

    monkeypatch.setattr("harness.cli.main.cli.main", work)
    ended = called()
    assert ended.returncode == 130
    assert "ignored" not in ended.stderr


def _has_trained(run: RunFolder) -> bool:
    return any(event["event"] == "epoch" for a in Journal(run).attempts for event in a.events)
