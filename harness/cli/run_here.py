"""`run` on this machine: every run's turn, while a person watches."""

from __future__ import annotations

from collections.abc import Iterator

from harness.cli.metrics import served
from harness.cli.progress import Length, Progress, open_progress
from harness.energy.meters.finders import check_measurable
from harness.engines.engine import Assignment
from harness.engines.limits import Account
from harness.engines.local import LocalEngine
from harness.engines.slots import places
from harness.engines.turn import Outcome, Turns
from harness.errors import UsageError
from harness.phases import Budget
from harness.plan import most_epochs, planned_epochs
from harness.results.folder import StudyFolder
from harness.spec import RunSpec


class Here:
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
    ) -> list[Outcome]:
        """Work on all that is missing.

        As `Engine.work`; it returns how each run stands.
        """
        account = Account(self._study.limits, [folder.run(spec) for spec in specs])
        outcomes = []
        lengths = [self._planned(spec) for spec in specs]
        with (
            open_progress(specs, lengths) as progress,
            served(self._asked.metrics, self._study.name, progress.now),
        ):
            turns = Turns(
                folder, account, self._asked.relied_on, retry_failed=self._asked.retry_failed
            )
            # Hours later is too late to find that a run cannot be carried out here.
            may_follow = self._asked.rounds.called(folder).may_follow
            turns.check([*missing, *may_follow], self._study.engine.gpus_per_run)
            engine = LocalEngine(turns, self._places, progress.look)
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
        return Length(planned_epochs(method, budget), most_epochs(method, budget))
