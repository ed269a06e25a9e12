"""Whatever becomes of the harness, what it started ends with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.scheduler.started import killed, nothing_left, runs_of, started, trainer_of, wait_until

WORDS = ("dense", "--seed", "0", "--set", "training.epochs=1000", "--no-report", "--out", "out")


def test_a_stopped_training_ends_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    orchestrator = started(tmp_path, *WORDS)
    wait_until(lambda: trainer_of(out), "it trains")
    os.kill(trainer_of(out) or 0, signal.SIGSTOP)
    with nothing_left(orchestrator, out):
        killed(orchestrator.pid)
    orchestrator.communicate()


def test_without_its_terminal_it_ends_in_order(tmp_path: Path) -> None:
    out = tmp_path / "out"
    orchestrator = started(tmp_path, *WORDS)
    wait_until(lambda: trainer_of(out), "it trains")
    with nothing_left(orchestrator, out):
        os.kill(orchestrator.pid, signal.SIGHUP)
    output, _ = orchestrator.communicate()
    assert orchestrator.returncode == 130
    assert "interrupted; everything so far is kept" in output
    assert "Traceback" not in output
    run = runs_of(out)["dense/seed-0"]
    assert '"status":"interrupted"' in run.journal.read_text()
    assert "Traceback" not in run.log.read_text()
