"""The engine for this machine: one run at a time, or several over its GPUs or shares of its CPU.

One at a time is the default: runs that share a host disturb each other's energy.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from harness.energy.sensors.discover import check_measurable, check_scope
from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder
from harness.runner.worker_main import Resources
from harness.scheduler.engine import Assignment, Engine, Progress
from harness.scheduler.green_gate import GreenGate
from harness.scheduler.limits import Budgets
from harness.scheduler.resources import divide_machine
from harness.scheduler.run_process import POLL_S, StopRun
from harness.scheduler.scheduler import RunOutcome, RunScheduler, Watcher
from harness.settings.run_spec import RunSpec


class LocalEngine(Engine):
    """Executes a study's runs on this machine while the command runs.

    Args:
        assignment: What to run, and how.

    Raises:
        UsageError: This machine lacks the requested GPUs.
        MeasurementError: It has no sensor, and one is required.
    """

    may_be_left = False

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        engine = assignment.study.engine
        if engine.nodes_per_run > 1:
            raise UsageError("engine.nodes_per_run: this machine is one; use engine.kind = slurm")
        self._resources = divide_machine(
            engine.at_once, engine.gpus_per_run, threads=engine.threads
        )
        check_scope(assignment.study.energy)
        if assignment.require_measured:
            check_measurable(assignment.study.energy)

    def run(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """Execute all missing runs, and those that their results call for; as `Engine.run`."""
        assignment, study = self._assignment, self._assignment.study
        runs = [*assignment.before, *(folder.run(spec) for spec in specs)]
        budgets = Budgets(study.limits, runs)
        outcomes = []
        with assignment.progress(specs) as progress:
            when = assignment.when
            scheduler = RunScheduler(
                folder,
                budgets,
                assignment.relied_on,
                retry_failed=assignment.retry_failed,
                gate=GreenGate(when, progress.report) if when else None,
            )
            # Hours later is too late to find that a run cannot be carried out here.
            may_follow = assignment.rounds.called(folder).may_follow
            scheduler.check([*missing, *may_follow], study.engine.gpus_per_run)
            for called in self._rounds(folder, progress):
                for outcome in self._run_all(called, scheduler, progress.look):
                    progress.finish(outcome)
                    outcomes.append(outcome)
                if any(outcome.reached and outcome.reached.ends_study for outcome in outcomes):
                    break
        return outcomes

    def _rounds(self, folder: StudyFolder, progress: Progress) -> Iterator[list[RunSpec]]:
        """The runs that are called for; then, repeatedly, those that new results call for."""
        before: set[str] = set()
        while True:
            called = self._assignment.rounds.called(folder)
            further = [spec for spec in called.runs if spec.title not in before]
            if not further:
                return
            progress.expect(called.runs)
            if called.reason:
                progress.report(called.reason)
            elif before:
                arms = called.open_arms(further)
                progress.report(f"seed {further[-1].seed}, since a verdict is still open: {arms}")
            before |= {spec.title for spec in further}
            yield further

    def _run_all(
        self, specs: list[RunSpec], scheduler: RunScheduler, watch: Watcher
    ) -> Iterator[RunOutcome]:
        """Outcomes of all runs, unless a limit of the study is reached before.

        A run that another process holds is tried again after the rest, and left to that process if
        it still works on it.
        """
        run_once = self._in_sequence if len(self._resources) == 1 else self._in_parallel
        waiting = specs
        while waiting:
            postponed = []
            for outcome in run_once(waiting, scheduler, watch):
                if outcome.is_postponed:
                    postponed.append(outcome)
                    continue
                yield outcome
                if outcome.reached and outcome.reached.ends_study:
                    return
            if len(postponed) == len(waiting):
                yield from postponed
                return
            waiting = [outcome.spec for outcome in postponed]

    def _in_sequence(
        self, specs: list[RunSpec], scheduler: RunScheduler, watch: Watcher
    ) -> Iterator[RunOutcome]:
        for spec in specs:
            yield scheduler.run_if_needed(spec, self._resources[0], watch)

    def _in_parallel(
        self, specs: list[RunSpec], scheduler: RunScheduler, watch: Watcher
    ) -> Iterator[RunOutcome]:
        """Runs on all resources at once, in threads that only wait for processes."""
        free, waiting = deque(self._resources), deque(specs)
        running: dict[Future[RunOutcome], Resources] = {}
        stopped = threading.Event()
        pool = ThreadPoolExecutor(len(self._resources))

        def watch_until_stopped(spec: RunSpec, folder: RunFolder) -> None:
            if stopped.is_set():
                raise StopRun("the harness was stopped")
            watch(spec, folder)

        try:
            while waiting or running:
                while free and waiting:
                    resources = free.popleft()
                    future = pool.submit(
                        scheduler.run_if_needed, waiting.popleft(), resources, watch_until_stopped
                    )
                    running[future] = resources
                done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    free.append(running.pop(future))
                    yield future.result()
        finally:
            # Left early, for whatever reason: runs under way close their last windows first.
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
