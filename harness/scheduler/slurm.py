"""The engine for a Slurm cluster: runs as array jobs, submitted through submitit.

    SlurmEngine -> sbatch (an array per level of dependencies) -> RunJob -> `worker RUN_SPEC`

submitit (github.com/facebookincubator/submitit) pickles a `RunJob` where jobs are submitted and
calls it on the node. The `worker` command resumes what was interrupted and does nothing to a
finished run. So a job that is preempted, times out or is requeued costs the work since its last
checkpoint, and nothing is ever run twice.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil
from submitit import JobEnvironment, SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission

from harness.errors import StorageError, UsageError
from harness.results.folder import StudyFolder
from harness.results.status import status_of
from harness.results.submission import submission
from harness.scheduler.engine import Assignment, Engine
from harness.scheduler.ordering import levels
from harness.scheduler.scheduler import RunOutcome
from harness.scheduler.squeue import Job, ended_jobs, jobs_of, longest_array
from harness.settings.run_spec import RunSpec

POLL_S = 5.0
"""Time between two looks at the queue; a controller serves many users."""


class SlurmEngine(Engine):
    """Submits a study's runs to the queue; the results folder must be visible to all nodes.

    Args:
        assignment: What to run, and how.

    Raises:
        UsageError: There is no cluster here.
    """

    may_be_left = True

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._settings = assignment.study.engine
        self._longest = longest_array()

    def run(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """Submit missing runs that are not in the queue; as `Engine.run`."""
        specs = self._assignment.rounds.called(folder).runs
        with folder.alone():  # two who submit at once see each other's jobs
            self._submit_missing(folder, specs, missing)
        queued = self._wait(folder, specs) if self._assignment.wait else _queued(folder, specs)
        if self._assignment.wait:
            before = {spec.title for spec in specs}
            specs = self._assignment.rounds.called(folder).runs
            further = [spec for spec in specs if spec.title not in before]
            if further:  # the results call for another seed
                return self.run(folder, specs, further)
        return [
            RunOutcome(spec, folder.run(spec), status_of(folder.run(spec)))
            for spec in specs
            if folder.run(spec).name not in queued
        ]

    def _submit_missing(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> None:
        wanted = {folder.run(spec).name: spec for spec in missing}
        others = {folder.run(spec).name for spec in specs} - set(wanted)
        queued = jobs_of(folder, frozenset(others))
        to_submit = {name: spec for name, spec in wanted.items() if name not in queued}
        click.echo(f"{_counts(folder, specs, queued)}; {len(to_submit)} to submit")
        _report_ended(folder, to_submit)
        numbers = {run: job.number for run, job in queued.items()}
        for level in levels(list(to_submit.values()), self._assignment.relied_on):
            arrays = -(-len(level) // self._longest)
            for start in range(0, len(level), self._longest):
                part = level[start : start + self._longest]
                before = self._arrays_before(folder, part, numbers)
                number = self._submit_array(folder, part, before, arrays)
                numbers.update({folder.run(spec).name: number for spec in part})

    def _arrays_before(
        self, folder: StudyFolder, specs: Sequence[RunSpec], numbers: Mapping[str, str]
    ) -> list[str]:
        """Arrays that must have ended, in whatever way, before any of `specs` begins.

        Whole arrays, since sbatch does not accept a list of thousands of jobs.
        """
        relied_on = self._assignment.relied_on
        others = {folder.run(other).name for spec in specs for other in relied_on(spec)}
        return sorted({numbers[run].split("_")[0] for run in others if run in numbers})

    def _submit_array(
        self, folder: StudyFolder, specs: list[RunSpec], before: list[str], arrays: int
    ) -> str:
        """Submit one array, a job per run; its number.

        Raises:
            UsageError: The cluster refuses; the message is its own.
            StorageError: The submission cannot be written.
        """
        name = f"{self._assignment.study.name}-{secrets.token_hex(4)}"
        here = submission(folder, name)
        try:
            here.write(specs, [folder.run(spec) for spec in specs])
        except OSError as error:
            raise StorageError(f"{here.path}: {error.strerror}") from None
        jobs = [
            RunJob(here.spec(index).resolve(), self._worker_options(), self._settings.nodes_per_run)
            for index in range(len(specs))
        ]
        try:
            executor = SlurmExecutor(
                here.path.resolve(),
                max_num_timeout=self._settings.slurm.timeouts,
                python=self._settings.slurm.python,
            )
            executor.update_parameters(**self._parameters(name, len(specs), before, arrays))
            with redirect_stderr(io.StringIO()):  # `_reason` has what sbatch prints
                submitted = executor.submit_array(jobs)
        except (FailedJobError, FailedSubmissionError) as error:
            here.withdraw()
            raise UsageError(f"the cluster refuses: {_reason(error)}") from None
        except OSError as error:
            raise StorageError(f"{here.path}: {error.strerror}") from None
        number = str(submitted[0].job_id).split("_")[0]
        click.echo(f"submitted array {number}: {len(specs)} runs, {here.path}")
        return number

    def _parameters(self, name: str, count: int, before: list[str], arrays: int) -> dict[str, Any]:
        """Options of sbatch, by submitit's names."""
        settings = self._settings.slurm
        options: dict[str, Any] = {k: v for k, v in settings.options.items() if v is not False}
        if before:
            options["dependency"] = f"afterany:{':'.join(before)}"
        gpus: str | int = self._settings.gpus_per_node
        if settings.gpu_type:
            gpus = f"{settings.gpu_type}:{gpus}"
        parameters = {
            "job_name": name,
            "partition": settings.partition,
            "account": settings.account,
            "qos": settings.qos,
            "constraint": settings.constraint,
            "nodes": self._settings.nodes_per_run,
            "ntasks_per_node": 1,
            "gpus_per_node": gpus if settings.gpus else None,
            "cpus_per_task": settings.cpus,
            "mem": None if settings.memory_gb is None else f"{int(settings.memory_gb * 1024)}M",
            "time": settings.time_min,
            "signal_delay_s": settings.warn_s,
            "exclusive": settings.exclusive or None,
            "setup": list(settings.prologue) or None,
            "array_parallelism": max(1, (settings.at_once or count) // arrays),
            "stderr_to_stdout": True,
            "additional_parameters": options or None,
        }
        return {key: value for key, value in parameters.items() if value is not None}

    def _worker_options(self) -> tuple[str, ...]:
        host = "--spare-gpus" if self._settings.slurm.exclusive else "--shared-node"
        return (host, *(["--retry-failed"] if self._assignment.retry_failed else []))

    def _wait(self, folder: StudyFolder, specs: list[RunSpec]) -> dict[str, Job]:
        """Wait until the queue is empty, and print each change; what the queue holds then."""
        printed = None
        while queued := _queued(folder, specs):
            counts = _counts(folder, specs, queued)
            if counts != printed:
                click.echo(counts)
            printed = counts
            time.sleep(POLL_S)
        return queued


def _queued(folder: StudyFolder, specs: list[RunSpec]) -> dict[str, Job]:
    done = (folder.run(spec) for spec in specs if status_of(folder.run(spec)) == "done")
    return jobs_of(folder, frozenset(run.name for run in done))


def _counts(folder: StudyFolder, specs: list[RunSpec], queued: dict[str, Job]) -> str:
    """Number of runs in each state, for people."""
    runs = [folder.run(spec) for spec in specs]
    states = Counter(queued[run.name].state for run in runs if run.name in queued)
    rest = Counter(status_of(run) for run in runs if run.name not in queued)
    parts = [f"{count} {state} in the queue" for state, count in states.items()]
    parts += [f"{count} {status}" for status, count in rest.items()]
    return f"{len(runs)} runs: {', '.join(parts)}"


def _report_ended(folder: StudyFolder, names: Iterable[str]) -> None:
    """Print the logs of jobs that ended before their run was done."""
    for name, job in sorted(ended_jobs(folder, frozenset(names)).items()):
        log = job.log(job.runs().index(name))
        where = f"see {log}" if log else "it never began"
        click.echo(f"{name}: its last job ended before it was done; {where}", err=True)


def _reason(error: Exception) -> str:
    """What sbatch printed, out of submitit's message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    printed = [line for line in lines if line.startswith("sbatch:")]
    return " ".join(printed or lines[-1:] or [type(error).__name__])


WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""What submitit may have Slurm send before a time limit. Slurm sends it to every process of the
job, and a process that does not handle it dies."""
FIRST_PORT, PORTS = 20_000, 10_000
"""Range of the port at which the nodes of a job meet."""
TIMEOUT_S = 60
"""Time for a worker to close its last window before it is left to Slurm's SIGKILL."""


@dataclass
class RunJob:
    """Works on one run until it is done, fails, or the job must end.

    Args:
        spec: The run's specification, a file within the results folder.
        options: Options of the `worker` command.
        nodes: Number of nodes that work on it together; each calls this.
    """

    spec: Path
    options: tuple[str, ...]
    nodes: int = 1
    _worker: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Work on the run.

        Raises:
            RuntimeError: It is not done; the worker has printed why.
        """
        command = [sys.executable, "-m", "harness", "worker", str(self.spec), *self.options]
        if self.nodes > 1:
            here = JobEnvironment()
            # Jobs that share a node have different numbers.
            port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
            command += ["--node", f"{here.global_rank}/{self.nodes}"]
            command += ["--meet", f"{here.hostnames[0]}:{port}"]
        self._worker = subprocess.Popen(command, preexec_fn=_ignore_warnings)  # noqa: PLW1509 - there is no other thread
        code = self._worker.wait()
        if code:
            raise RuntimeError(f"the worker of {self.spec} ended with exit code {code}")

    def checkpoint(self) -> DelayedSubmission:
        """End the worker cleanly; the rest of the run is submitted again."""
        if self._worker is not None:
            self._worker.terminate()
            # Not by `Popen.wait`: this interrupts one, which holds its lock.
            with contextlib.suppress(psutil.Error):
                psutil.Process(self._worker.pid).wait(TIMEOUT_S)
        return DelayedSubmission(RunJob(self.spec, self.options, self.nodes))


def _ignore_warnings() -> None:
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
