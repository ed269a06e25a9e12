"""Runs as jobs of a Slurm cluster, submitted through submitit (github.com/facebookincubator).

An array a submission; its jobs are the `worker` command, which goes on with what was interrupted
and does nothing to a finished run. So a job that is preempted, times out or is begun anew by Slurm
costs the work since its last checkpoint, and nothing is ever run twice.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError

from harness.engine_settings import EngineSettings
from harness.engines.job import RunJob
from harness.engines.queue import Job
from harness.errors import StorageError, UsageError
from harness.results.folder import StudyFolder
from harness.results.submission import SubmissionFolder, submission
from harness.spec import RunSpec


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


class SlurmEngine:
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
