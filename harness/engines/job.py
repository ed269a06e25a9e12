"""One job of a Slurm array: it starts the worker of one run, and knows how to go on later.

submitit pickles it where jobs are submitted, and calls it on the node.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""What submitit may have Slurm send before a time limit. Slurm sends it to every process of the
job, and whoever does not know it dies of it."""
FIRST_PORT, PORTS = 20_000, 10_000
"""Where the nodes of a job meet."""
PATIENCE_S = 60
"""Time that a worker gets to close its last window before it is left to Slurm's SIGKILL."""


@dataclass
class RunJob:
    """Works on one run until it is done, fails, or the job must go.

    Args:
        spec: The run's specification, a file within the results folder.
        options: Of the `worker` command.
        nodes: How many nodes work on it together; each calls this.
    """

    spec: Path
    options: tuple[str, ...]
    nodes: int = 1
    _worker: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Work on the run.

        Raises:
            RuntimeError: It is not done; the worker has said why.
        """
        command = [sys.executable, "-m", "harness", "worker", str(self.spec), *self.options]
        if self.nodes > 1:
            here = JobEnvironment()
            # Jobs that share a node have different numbers.
            port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
            command += ["--node", f"{here.global_rank}/{self.nodes}"]
            command += ["--meet", f"{here.hostnames[0]}:{port}"]
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
        return DelayedSubmission(RunJob(self.spec, self.options, self.nodes))


def _deaf_to_warnings() -> None:
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
