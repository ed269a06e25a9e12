"""The harness as a process of its own, its family, and what they leave behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.cli.main import main
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.utils.file_lock import AlreadyHeld
from tests import prepared
from tests.conftest import REPOSITORY

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at alone
ORPHANS_END_S = 10
"""Time in which everything that a dead harness started must have ended."""


Started = prepared.Running | subprocess.Popen[str]


def started(folder: Path, *words: str, fresh: bool = False, **env: str) -> Started:
    """`python -m harness WORDS` in a folder and a session of its own; its output is one pipe.

    It is a process that has imported everything already, unless it is to be `fresh`.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", **env}
    command = ["-m", "harness", *words]
    if not fresh and prepared.python() != sys.executable:
        output, its_end = os.pipe()
        running = prepared.Running(
            prepared.server(), command, str(folder), environment,
            {0: 0, 1: its_end, 2: its_end}, os.fdopen(output),
        )  # fmt: skip
        os.close(its_end)
        if running.pid:
            return running
        running.stdout.close()
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_answering,  # noqa: PLW1509 - it starts no thread and takes no lock
    )


def _answering() -> None:
    """Answer signals that the shell of the tests may ignore, as `nohup` does."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def called(*words: str) -> Ended:
    """`python -m harness WORDS` in this process, whose fork server has imported torch already.

    Paths must be absolute: the server works where it was started.
    """
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    argv, sys.argv = sys.argv, ["harness", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        return Ended(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Ended(0, out.getvalue(), err.getvalue())


def wait_until(
    holds: Callable[[], object], what: str, seconds: float = 300, period_s: float = 0.02
) -> None:
    """Wait until something is true; the time is a guard against waiting for ever."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(period_s)


def runs_of(out: Path) -> dict[str, RunFolder]:
    """The runs of a results folder by their place in it, such as "dense/seed-0"."""
    found = (path.parent for path in out.rglob("spec.json"))
    return {str(path.relative_to(out / "runs")): RunFolder(path) for path in found}


def family_of(orchestrator: Started) -> list[psutil.Process]:
    """All that descend from it, training processes and their helpers, and its recorders."""
    try:
        family = psutil.Process(orchestrator.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    return [*family, *recorders_of(orchestrator.pid)]


def recorders_of(process_id: int) -> list[psutil.Process]:
    """The recorders that a process has started; they are nobody's children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words[1:3] == ["-m", "harness.energy.recorder"]:
                found += [process] if json.loads(words[3]).get("starter") == process_id else []
    return found


def recorder_of(orchestrator: Started) -> psutil.Process | None:
    """The recorder that it runs now."""
    return next(iter(recorders_of(orchestrator.pid)), None)


def trainer_of(out: Path) -> int | None:
    """The process of the run that is worked on, as its journal says."""
    for folder in runs_of(out).values():
        attempts = Journal(folder).attempts
        if attempts and not attempts[-1].has_ended:
            process_id = attempts[-1].events[0]["process_id"]
            if psutil.pid_exists(process_id):
                return int(process_id)
    return None


@contextmanager
def nothing_left(orchestrator: Started, out: Path) -> Iterator[None]:
    """After what is done within no process, shared memory or lock outlives the harness."""
    family = family_of(orchestrator)
    memory = {path.name for path in SHARED_MEMORY.iterdir()}
    yield
    orchestrator.wait(60)
    _, alive = psutil.wait_procs(family, timeout=ORPHANS_END_S)
    assert alive == []
    # Other tests, at the same time, have memory of their own, but not for long.
    wait_until(lambda: not {path.name for path in SHARED_MEMORY.iterdir()} - memory, "memory goes")
    for folder in runs_of(out).values():
        assert is_free(folder), folder.path


def is_free(folder: RunFolder) -> bool:
    """Whether nobody holds the run's lock."""
    try:
        folder.hold().release()
    except AlreadyHeld:
        return False
    return True


def killed(process_id: int) -> None:
    """`kill -9`, if it still is there."""
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return
