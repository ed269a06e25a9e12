"""Runs as jobs of a Slurm cluster, submitted through submitit (github.com/facebookincubator).

An array a submission; its jobs are the `worker` command, which goes on with what was interrupted
and does nothing to a finished run. So a job that is preempted, times out or is begun anew by Slurm
costs the work since its last checkpoint, and nothing is ever run twice.

`run` on a Slurm cluster: what is missing goes to the queue, and nobody needs to wait for it.

One job of a Slurm array: it starts the worker of one run, and knows how to go on later.

submitit pickles it where jobs are submitted, and calls it on the node.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from harness.results.submission import SubmissionFolder, submission
from harness.scheduler.engine import Assignment
from harness.scheduler.scheduler import RunOutcome
from harness.scheduler.squeue import Job, ended_jobs, jobs_of, longest_array
from harness.settings.engine import EngineSettings
from harness.settings.run_spec import RunSpec


@dataclass(frozen=True)
class Submitted:
    """An array that was handed to the queue.

    Attributes:
        number: As the queue calls it.
        runs: What its jobs work on.
        folder: Where they print.
    """

    number: str
    runs: list[RunSpec]
    folder: SubmissionFolder


class SlurmSubmitter:
    """Submits runs.

    Args:
        study: The results folder, on a file system that the nodes share.
        name: Of the study; jobs are called after it.
        settings: What to ask the cluster for.
        relied_on: The runs that a run builds on, which must end before it begins.
        longest: So many jobs at most go into an array.
        retry_failed: Begin failed runs anew.
    """

    def __init__(
        self,
        study: StudyFolder,
        name: str,
        settings: EngineSettings,
        relied_on: Callable[[RunSpec], list[RunSpec]],
        *,
        longest: int,
        retry_failed: bool = False,
    ) -> None:
        self._study = study
        self._name = name
        self._settings = settings.slurm
        self._engine = settings
        self._relied_on = relied_on
        self._retry_failed = retry_failed
        self._longest = longest

    def submit(self, specs: Sequence[RunSpec], queued: Mapping[str, Job]) -> Iterator[Submitted]:
        """Submit runs; what builds on others waits for their jobs to end.

        Args:
            specs: Runs that need work, in the order of their turns.
            queued: Jobs that wait or run already, by the name of their run.

        Raises:
            UsageError: The cluster refuses; the message is its own.
            StorageError: The submission cannot be put down.
        """
        jobs = {run: job.number for run, job in queued.items()}
        for level in _levels(specs, self._relied_on):
            for start in range(0, len(level), self._longest):
                part = level[start : start + self._longest]
                arrays = -(-len(level) // self._longest)
                done = self._submit_array(part, self._before(part, jobs), arrays)
                jobs.update({self._study.run(spec).name: done.number for spec in part})
                yield done

    def _before(self, specs: Sequence[RunSpec], jobs: Mapping[str, str]) -> list[str]:
        """Jobs that must have ended, however, before any of some runs begins."""
        others = {self._study.run(other).name for spec in specs for other in self._relied_on(spec)}
        # By whole arrays: a line of thousands of jobs is more than sbatch takes.
        return sorted({jobs[run].split("_")[0] for run in others if run in jobs})

    def _submit_array(self, specs: list[RunSpec], before: list[str], arrays: int) -> Submitted:
        name = f"{self._name}-{secrets.token_hex(4)}"
        folder = submission(self._study, name)
        try:
            folder.write(specs, [self._study.run(spec) for spec in specs])
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None
        asked = self._asked(name, len(specs), before, arrays)
        nodes = self._engine.nodes_per_run
        tasks = [
            RunJob(folder.spec(index).resolve(), self._worker_options(), nodes)
            for index in range(len(specs))
        ]
        try:
            executor = SlurmExecutor(
                folder.path.resolve(),
                max_num_timeout=self._settings.timeouts,
                python=self._settings.python,
            )
            executor.update_parameters(**asked)
            with redirect_stderr(io.StringIO()):  # what sbatch says is told below
                jobs = executor.submit_array(tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            folder.withdraw()
            raise UsageError(f"the cluster refuses: {_reason(error)}") from None
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None
        return Submitted(jobs[0].job_id.split("_")[0], specs, folder)

    def _asked(self, name: str, count: int, before: list[str], arrays: int) -> dict[str, Any]:
        """What sbatch is told, in submitit's words."""
        settings = self._settings
        options: dict[str, Any] = {k: v for k, v in settings.options.items() if v is not False}
        if before:
            options["dependency"] = f"afterany:{':'.join(before)}"
        gpus: str | int = self._engine.gpus_per_node
        if settings.gpu_type:
            gpus = f"{settings.gpu_type}:{gpus}"
        asked = {
            "job_name": name,
            "partition": settings.partition,
            "account": settings.account,
            "qos": settings.qos,
            "constraint": settings.constraint,
            "nodes": self._engine.nodes_per_run,
            "ntasks_per_node": 1,
            "gpus_per_node": gpus if settings.gpus else None,
            "cpus_per_task": settings.cpus,
            "mem": _memory(settings.memory_gb),
            "time": settings.time_min,
            "signal_delay_s": settings.warn_s,
            "exclusive": settings.exclusive or None,
            "setup": list(settings.prologue) or None,
            "array_parallelism": max(1, (settings.at_once or count) // arrays),
            "stderr_to_stdout": True,
            "additional_parameters": options or None,
        }
        return {key: value for key, value in asked.items() if value is not None}

    def _worker_options(self) -> tuple[str, ...]:
        host = ["--spare-gpus"] if self._settings.exclusive else ["--shared-node"]
        return (*host, *(["--retry-failed"] if self._retry_failed else []))


def _levels(
    specs: Sequence[RunSpec], relied_on: Callable[[RunSpec], list[RunSpec]]
) -> list[list[RunSpec]]:
    """Runs by how many others must come before them, one after the other."""
    among = {spec.title: spec for spec in specs}
    depth: dict[str, int] = {}

    def depth_of(spec: RunSpec) -> int:
        if spec.title not in depth:
            before = (depth_of(other) for other in relied_on(spec) if other.title in among)
            depth[spec.title] = max((each + 1 for each in before), default=0)
        return depth[spec.title]

    levels: dict[int, list[RunSpec]] = {}
    for spec in specs:
        levels.setdefault(depth_of(spec), []).append(spec)
    return [levels[each] for each in sorted(levels)]


def _memory(memory_gb: float | None) -> str | None:
    return None if memory_gb is None else f"{int(memory_gb * 1024)}M"


def _reason(error: Exception) -> str:
    """What sbatch said, out of what submitit says of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("sbatch:")]
    return " ".join(told or lines[-1:] or [type(error).__name__])


LOOK_S = 5.0
"""Time between two looks at the queue; a controller serves many."""


class SlurmEngine:
    """Hands a study's runs to the queue.

    Args:
        asked: What for.

    Raises:
        UsageError: There is no cluster here.
    """

    may_be_left = True

    def __init__(self, asked: Assignment) -> None:
        self._asked = asked
        self._study = asked.study
        self._longest = longest_array()

    def work(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """Submit what is missing and not in the queue.

        As `Engine.work`; the folder must lie on a file system that the nodes share.
        """
        specs = self._asked.rounds.called(folder).runs
        with folder.alone():  # two who submit at once see each other's jobs
            self._submit(folder, specs, missing)
        queued = self._watch(folder, specs) if self._asked.wait else _queued(folder, specs)
        if self._asked.wait:
            before = {spec.title for spec in specs}
            specs = self._asked.rounds.called(folder).runs
            further = [spec for spec in specs if spec.title not in before]
            if further:  # the results call for another seed
                return self.work(folder, specs, further)
        return [
            RunOutcome(spec, folder.run(spec), status_of(folder.run(spec)))
            for spec in specs
            if folder.run(spec).name not in queued
        ]

    def _submit(self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]) -> None:
        wanted = {folder.run(spec).name: spec for spec in missing}
        others = {folder.run(spec).name for spec in specs} - set(wanted)
        queued = jobs_of(folder, frozenset(others))
        to_submit = {name: spec for name, spec in wanted.items() if name not in queued}
        click.echo(f"{_counted(folder, specs, queued)}; {len(to_submit)} to submit")
        _tell_of_ended(folder, to_submit)
        engine = SlurmSubmitter(
            folder,
            self._study.name,
            self._study.engine,
            self._asked.relied_on,
            longest=self._longest,
            retry_failed=self._asked.retry_failed,
        )
        for each in engine.submit(list(to_submit.values()), queued):
            click.echo(f"submitted array {each.number}: {len(each.runs)} runs, {each.folder.path}")

    def _watch(self, folder: StudyFolder, specs: list[RunSpec]) -> dict[str, Job]:
        """Until the queue is empty; what it holds then."""
        said = None
        while queued := _queued(folder, specs):
            now = _counted(folder, specs, queued)
            if now != said:
                click.echo(now)
            said = now
            time.sleep(LOOK_S)
        return queued


def _queued(folder: StudyFolder, specs: list[RunSpec]) -> dict[str, Job]:
    done = (folder.run(spec) for spec in specs if status_of(folder.run(spec)) == "done")
    return jobs_of(folder, frozenset(run.name for run in done))


def _counted(folder: StudyFolder, specs: list[RunSpec], queued: dict[str, Job]) -> str:
    """How many runs stand how."""
    runs = [folder.run(spec) for spec in specs]
    states = Counter(queued[run.name].state for run in runs if run.name in queued)
    rest = Counter(status_of(run) for run in runs if run.name not in queued)
    told = [f"{count} {state} in the queue" for state, count in states.items()]
    told += [f"{count} {status}" for status, count in rest.items()]
    return f"{len(runs)} runs: {', '.join(told)}"


def _tell_of_ended(folder: StudyFolder, names: Iterable[str]) -> None:
    """Where jobs that ended before their run was done have printed why."""
    for name, job in sorted(ended_jobs(folder, frozenset(names)).items()):
        log = job.log(job.runs().index(name))
        where = f"see {log}" if log else "it never began"
        click.echo(f"{name}: its last job ended before it was done; {where}", err=True)


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
