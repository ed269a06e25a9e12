"""`run` on a Slurm cluster: what is missing goes to the queue, and nobody needs to wait for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import click

from harness.engines.engine import Assignment
from harness.engines.queue import Job, ended_jobs, jobs_of, longest_array
from harness.engines.slurm import SlurmEngine
from harness.engines.turn import Outcome
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.glance import status_of
from harness.spec import RunSpec

LOOK_S = 5.0
"""Time between two looks at the queue; a controller serves many."""


class Submit:
    """Hands a study's runs to the queue.

    Args:
        asked: What for.

    Raises:
        UsageError: There is no cluster here.
    """

    may_be_left = True

    def __init__(self, asked: Assignment) -> None:
        if asked.metrics:
            raise UsageError("--metrics follows runs of this machine; `status` reads the queue")
        self._asked = asked
        self._study = asked.study
        self._longest = longest_array()

    def work(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[Outcome]:
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
            Outcome(spec, folder.run(spec), status_of(folder.run(spec)))
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
        engine = SlurmEngine(
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
    for name, submission in sorted(ended_jobs(folder, frozenset(names)).items()):
        log = submission.log(submission.runs().index(name))
        where = f"see {log}" if log else "it never began"
        click.echo(f"{name}: its last job ended before it was done; {where}", err=True)
