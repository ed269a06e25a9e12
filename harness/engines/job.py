"""One job of a Slurm array: it starts the worker of one run, and knows how to go on later.

submitit pickles it where jobs are submitted, and calls it on the node.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from submitit.helpers import DelayedSubmission

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""What submitit may have Slurm send before a time limit. Slurm sends it to every process of the
job, and whoever does not know it dies of it."""
PATIENCE_S = 60
"""Time that a worker gets to close its last window before it is left to Slurm's SIGKILL."""


@dataclass
class RunJob:
    """Works on one run until it is done, fails, or the job must go.

    Args:
        spec: The run's specification, a file within the results folder.
        options: Of the `worker` command.
    """

    spec: Path
    options: tuple[str, ...]
    _worker: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Work on the run.

        Raises:
            RuntimeError: It is not done; the worker has said why.
        """
        command = [sys.executable, "-m", "harness", "worker", str(self.spec), *self.options]
        self._worker = subprocess.Popen(command, preexec_fn=_deaf_to_warnings)  # noqa: PLW1509 - there is no other thread
        code = self._worker.wait()
        if code:
            raise RuntimeError(f"the worker of {self.spec} ended with exit code {code}")

    def checkpoint(self) -> DelayedSubmission:
        """End the worker in order; what is left is submitted again."""
        if self._worker is not None:
            self._worker.terminate()
            # Not by `Popen.wait`: this interrupts one, which holds its lock.
            with contextlib.suppress(psutil.Error):
                psutil.Process(self._worker.pid).wait(PATIENCE_S)
        return DelayedSubmission(RunJob(self.spec, self.options))


def _deaf_to_warnings() -> None:
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
