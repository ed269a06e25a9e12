"""Runs on this machine: one at a time, or a queue over its GPUs or over shares of its CPU.

One at a time is the default: runs that share a host disturb each other's energy.

`run` on this machine: every run's turn, while a person watches.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from harness.cli.metrics import served
from harness.cli.progress import Length, Progress, open_progress
from harness.energy.sensors.discover import check_measurable
from harness.errors import UsageError
from harness.method.dry_run import max_epochs, planned_epochs
from harness.method.phases import Budget
from harness.results.folder import RunFolder, StudyFolder
from harness.runner.worker_main import Resources
from harness.scheduler.engine import Assignment
from harness.scheduler.limits import Budgets
from harness.scheduler.resources import places
from harness.scheduler.run_process import POLL_S, StopRun
from harness.scheduler.scheduler import RunOutcome, RunScheduler, Watcher
from harness.settings.run_spec import RunSpec


class RunQueue:
    """Executes runs in order, as many at a time as there are places.

    Args:
        turns: What a run's turn is.
        places: Where runs execute, one at a time each.
        watch: Called over and over while a run works; with several places, by a thread each.
    """

    def __init__(self, turns: RunScheduler, places: Sequence[Resources], watch: Watcher) -> None:
        self._turns = turns
        self._places = places
        self._watch = watch

    def run(self, specs: list[RunSpec]) -> Iterator[RunOutcome]:
        """Work on every run that is not done; yields each run's outcome.

        What others hold is tried again after the rest, and left to them if they still work on it.

        Raises:
            StorageError: Results cannot be written any more; no further run is begun.
            MeasurementError: The energy cannot be measured as asked for.
        """
        waiting = specs
        while waiting:
            postponed = []
            for outcome in self._round(waiting):
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

    def _round(self, specs: list[RunSpec]) -> Iterator[RunOutcome]:
        """Every run's turn, once."""
        if len(self._places) > 1:
            yield from self._abreast(specs)
            return
        for spec in specs:
            yield self._turns.take(spec, self._places[0], self._watch)

    def _abreast(self, specs: list[RunSpec]) -> Iterator[RunOutcome]:
        """Turns at all places at once, in threads that do no more than wait for processes."""
        free, waiting = deque(self._places), deque(specs)
        working: dict[Future[RunOutcome], Resources] = {}
        left = threading.Event()
        pool = ThreadPoolExecutor(len(self._places))

        def watch(spec: RunSpec, folder: RunFolder) -> None:
            if left.is_set():
                raise StopRun("the harness was told to stop")
            self._watch(spec, folder)

        try:
            while waiting or working:
                while free and waiting:
                    place = free.popleft()
                    future = pool.submit(self._turns.take, waiting.popleft(), place, watch)
                    working[future] = place
                over, _ = wait(working, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in over:
                    free.append(working.pop(future))
                    yield future.result()
        finally:
            # Left early, for whatever reason: runs under way close their last windows first.
            left.set()
            pool.shutdown(wait=True, cancel_futures=True)


class LocalEngine:
    """Works on a study's runs, here and now.

    Args:
        asked: What for.

    Raises:
        UsageError: This machine has not the places that were asked for.
        MeasurementError: It has no sensor.
    """

    may_be_left = False

    def __init__(self, asked: Assignment) -> None:
        self._asked = asked
        self._study = study = asked.study
        if study.engine.nodes_per_run > 1:
            raise UsageError("engine.nodes_per_run: this machine is one; use engine.kind = slurm")
        engine = study.engine
        self._places = places(engine.at_once, engine.gpus_per_run, threads=engine.threads)
        if asked.require_measured:
            check_measurable(study.energy)

    def work(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """Work on all that is missing.

        As `Engine.work`; it returns how each run stands.
        """
        account = Budgets(self._study.limits, [folder.run(spec) for spec in specs])
        outcomes = []
        lengths = [self._planned(spec) for spec in specs]
        with (
            open_progress(specs, lengths) as progress,
            served(self._asked.metrics, self._study.name, progress.now),
        ):
            turns = RunScheduler(
                folder, account, self._asked.relied_on, retry_failed=self._asked.retry_failed
            )
            # Hours later is too late to find that a run cannot be carried out here.
            may_follow = self._asked.rounds.called(folder).may_follow
            turns.check([*missing, *may_follow], self._study.engine.gpus_per_run)
            engine = RunQueue(turns, self._places, progress.look)
            for called in self._rounds(folder, progress):
                for outcome in engine.run(called):
                    progress.finish(outcome)
                    outcomes.append(outcome)
                if any(outcome.reached and outcome.reached.ends_study for outcome in outcomes):
                    break
        return outcomes

    def _rounds(self, folder: StudyFolder, progress: Progress) -> Iterator[list[RunSpec]]:
        """What is called for, and then again and again what the results call for besides."""
        before: set[str] = set()
        while True:
            called = self._asked.rounds.called(folder)
            further = [spec for spec in called.runs if spec.title not in before]
            if not further:
                return
            progress.expect(called.runs)
            if before:
                arms = called.open_arms(further)
                progress.say(f"seed {further[-1].seed}, since a verdict is still open: {arms}")
            before |= {spec.title for spec in further}
            yield further

    def _planned(self, spec: RunSpec) -> Length:
        """Epochs a run will train, as far as can be known."""
        method = self._asked.registry.get(spec.method)(**spec.hyperparameters)
        budget = Budget(spec.training.epochs)
        return Length(planned_epochs(method, budget), max_epochs(method, budget))
