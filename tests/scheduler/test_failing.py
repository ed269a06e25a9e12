"""Training that fails, in whatever way: the run ends with its reason, its joules and a log, and the
study goes on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import harness as public
from harness.method.base import Method
from harness.method.phases import Record
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.scheduler.limits import Intruders
from tests.results.test_resume import SPECS, attempt, start
from tests.scheduler.started import called

WORDS = (
    *("--seed", "0", "--set", "training.epochs=1", "--set", "workload.train_samples=144"),
    "--no-report",
)
PLUGIN = '''
"""Methods that fail in the middle of their work."""

import ctypes
import os
import signal
import sys
from pathlib import Path

import torch

from harness import Inspect, Method, Train


def leave(network, batch):
    os._exit(7)


def stray(network, batch):
    ctypes.string_at(0)


def vanish(network, batch):
    os.kill(os.getpid(), signal.SIGKILL)


def starve(network, batch):
    raise MemoryError


def ask_for_too_much(network, batch):
    return torch.empty(10**15).sum().item()


def give_a_tensor(network, batch):
    return torch.zeros(2)


def asking(name, question):
    def phases(self, budget):
        yield Train("train", epochs=1)
        yield Inspect(question)

    return type(name, (Method,), {"__module__": __name__, "__doc__": name, "phases": phases})


Leaves = asking("Leaves", leave)
Strays = asking("Strays", stray)
Vanishes = asking("Vanishes", vanish)
Starves = asking("Starves", starve)
Gluts = asking("Gluts", ask_for_too_much)
Mumbles = asking("Mumbles", give_a_tensor)


class Exits(Method):
    """Leave as a script would."""

    def phases(self, budget):
        yield Train("train", epochs=1)
        sys.exit(0)


class Interrupts(Method):
    """Raise what Ctrl-C raises; not where it is planned, with invented answers."""

    def phases(self, budget):
        if (yield Train("train", epochs=1, evaluate=True)).val_accuracy != 0.5:
            raise KeyboardInterrupt


class Lists(Method):
    """Return phases instead of yielding them."""

    def phases(self, budget):
        return [Train("train", epochs=1)]


class Babbles(Method):
    """Yield what is no phase."""

    def phases(self, budget):
        yield Train("train", epochs=1)
        yield "retrain"
'''
REASONS = {
    "leaves": "the process ended with exit code 7",
    "strays": "the process was ended by SIGSEGV",
    "vanishes": "the process was ended by SIGKILL, as the system does when memory runs out",
    "starves": "MemoryError",
    "gluts": "RuntimeError: ",
    "mumbles": "phase 1, Inspect: it and its answer must be plain JSON: ",
    "exits": "SystemExit: 0",
    "interrupts": "KeyboardInterrupt",
    "lists": "phases must yield; it returned a list",
    "babbles": "the method yielded 'retrain', which is not a phase",
}
FLAKY = '''
from pathlib import Path
from harness import Inspect, Method, Train


def luck(network, batch):
    tried = Path({tried!r})
    if not tried.exists():
        tried.touch()
        raise ValueError("no luck")
    return True


class Flaky(Method):
    """Fail the first time."""

    def phases(self, budget):
        yield Train("train", epochs=1)
        yield Inspect(luck)
'''


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of all of them, and dense as the last; the folder it was called in."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "failing.py").write_text(PLUGIN)
    plugin, out = str(folder / "failing.py"), str(folder / "out")
    ended = called(*REASONS, "dense", "--plugin", plugin, *WORDS, "--out", out)
    assert ended.returncode == 3, ended.stderr
    (folder / "stderr").write_text(ended.stderr)
    return folder


@pytest.fixture(scope="module")
def table(failing: Path) -> pd.DataFrame:
    """The runs by their methods."""
    return public.load(failing / "out").set_index("method")


def test_the_study_goes_on(table: pd.DataFrame) -> None:
    assert table.loc["dense", "status"] == "done"


@pytest.mark.parametrize("method", REASONS)
def test_a_run_ends_with_its_reason_and_its_joules(method: str, table: pd.DataFrame) -> None:
    row = table.loc[method]
    # Killed from outside it may go on; whatever else it did, it would do again.
    assert row["status"] == ("interrupted" if method == "vanishes" else "failed")
    assert row["reason"].startswith(REASONS[method])
    assert row["coverage"] > 0.5  # a process that is gone is missed a moment later
    assert row["energy_j"] > 0
    assert row["attempts"] == 1


@pytest.mark.parametrize("method", ["starves", "gluts", "exits", "interrupts", "mumbles"])
def test_there_is_a_log(method: str, failing: Path) -> None:
    log = (failing / f"out/runs/{method}/seed-0/log.txt").read_text()
    assert "Traceback" in log
    assert REASONS[method].split(":")[0] in log


def test_what_to_do_is_reported_without_a_traceback(failing: Path) -> None:
    output = (failing / "stderr").read_text()
    assert "Traceback" not in output
    assert "--retry-failed" in output
    assert "run the same command again" in output
    assert "failed: leaves, seed 0: the process ended with exit code 7 (see " in output


def test_retried_a_failed_run_is_a_further_attempt_whose_joules_add_up(tmp_path: Path) -> None:
    (tmp_path / "flaky.py").write_text(FLAKY.format(tried=str(tmp_path / "tried")))
    plugin, out = str(tmp_path / "flaky.py"), str(tmp_path / "out")
    words = ("flaky", "--plugin", plugin, *WORDS, "--out", out)
    first = called(*words)
    assert first.returncode == 3, first.stderr
    assert called(*words).returncode == 3
    [failed] = public.load(tmp_path / "out").to_dict("records")
    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    retried = called(*words, "--retry-failed")
    assert retried.returncode == 0, retried.stderr
    [row] = public.load(tmp_path / "out").to_dict("records")
    assert (row["status"], row["attempts"], row["reason"]) == ("done", 2, None)
    assert row["lost_j"] == pytest.approx(failed["energy_j"])
    assert row["energy_j"] > row["lost_j"]
    again = called(*words, "--retry-failed")
    assert "done already" in again.stdout


def test_a_run_beside_intruders_fails_where_it_must_be_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intruders, "look", lambda _self: "energy.isolation: others use GPU-0")
    alone = ("--set", "energy.isolation=error", "--out", str(tmp_path / "out"))
    ended = called("dense", *WORDS, *alone)
    assert ended.returncode == 3
    assert "failed: dense, seed 0: energy.isolation: others use GPU-0" in ended.stderr
    [row] = public.load(tmp_path / "out").to_dict("records")
    assert (row["status"], row["reason"]) == ("failed", "energy.isolation: others use GPU-0")


class Endless(Method):
    """Never end."""

    def phases(self, _budget):
        while True:
            yield Record({"again": True})


def test_a_method_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runner.run_method.MAX_PHASES", 20)
    monkeypatch.setattr("harness.runner.attempt.Registry.discover", lambda _plugins: _Only())
    folder = start(SPECS[0], tmp_path)
    attempt(SPECS[0], folder)
    assert Journal(folder).status == "failed"
    assert Journal(folder).reason == "the method asked for more than 20 phases"


class _Only:
    def get(self, _name: str) -> type[Method]:
        return Endless


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_checkpoint_is_put_aside_and_work_begins_anew(
    damage: bytes | None, tmp_path: Path
) -> None:
    folder = start(SPECS[0], tmp_path)
    attempt(SPECS[0], folder)
    whole = folder.checkpoint.read_bytes()
    folder.checkpoint.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    cut_off_end(folder)
    attempt(SPECS[0], folder)
    last = Journal(folder).attempts[-1]
    assert last.restored == 0
    assert last.events[0]["damage"].startswith("corrupt checkpoint; restarting")
    assert Journal(folder).status == "done"
    assert folder.damaged_checkpoint.exists()
    assert folder.checkpoint.read_bytes() == whole


def cut_off_end(folder: RunFolder) -> None:
    """As if it had been killed right after its last checkpoint."""
    lines = folder.journal.read_text().splitlines(keepends=True)
    assert '"end"' in lines[-1]
    folder.journal.write_text("".join(lines[:-1]))
