"""Whatever becomes of the harness, what it started ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests import prepared
from tests.conftest import REPOSITORY
from tests.scheduler.started import killed, nothing_left, runs_of, started, trainer_of, wait_until

WORDS = ("dense", "--seed", "0", "--set", "training.epochs=1000", "--no-report", "--out", "out")
HALF_STARTED = """
import multiprocessing, os
from multiprocessing import forkserver

multiprocessing.get_context("forkserver").set_forkserver_preload(["harness.runner.preload"])
heard, told = forkserver.connect_to_new_process([])
os.close(told)
while os.read(heard, 8):
    pass
"""
"""Asks for a process, as a run's is, and is gone before it says what to do."""


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


def test_a_process_whose_starter_is_gone_before_it_said_what_to_do_ends_in_silence() -> None:
    ended = subprocess.run(
        [prepared.python(), "-c", HALF_STARTED],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
