"""`run` on this machine: every run's turn, while a person watches."""

from __future__ import annotations

from harness.cli.progress import open_progress
from harness.energy.meters.finders import check_measurable
from harness.engines.limits import Account
from harness.engines.local import LocalEngine
from harness.engines.reliance import Reliance
from harness.engines.slots import places
from harness.engines.turn import Outcome, Turns
from harness.errors import UsageError
from harness.phases import Budget
from harness.plan import planned_epochs
from harness.registry import Registry
from harness.results.folder import StudyFolder
from harness.spec import RunSpec
from harness.study import Study


class Here:
    """Works on a study's runs, here and now.

    Args:
        study: What to run.
        registry: Its methods.
        relied_on: The runs that a run builds on.
        retry_failed: Begin failed runs anew.
        require_measured: Energy that no sensor measures is an error.

    Raises:
        UsageError: This machine has not the places that were asked for.
        MeasurementError: It has no sensor.
    """

    def __init__(
        self,
        study: Study,
        registry: Registry,
        relied_on: Reliance,
        *,
        retry_failed: bool,
        require_measured: bool,
    ) -> None:
        self._study = study
        self._registry = registry
        self._relied_on = relied_on
        self._retry_failed = retry_failed
        if study.engine.nodes_per_run > 1:
            raise UsageError("engine.nodes_per_run: this machine is one; use engine.kind = slurm")
        self._places = places(study.engine.at_once, study.engine.gpus_per_run)
        if require_measured:
            check_measurable(study.energy)

    def work(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[Outcome]:
        """Work on all that is missing.

        Args:
            folder: Where results go.
            specs: All runs, in the order of their turns.
            missing: Those that are not done.

        Returns:
            How each run stands.

        Raises:
            UsageError: This machine cannot carry out some of them; none was begun.
            MeasurementError: The energy cannot be measured as asked for.
            StorageError: Results cannot be written any more.
        """
        account = Account(self._study.limits, [folder.run(spec) for spec in specs])
        outcomes = []
        with open_progress(specs, [self._planned(spec) for spec in specs]) as progress:
            turns = Turns(folder, account, self._relied_on, retry_failed=self._retry_failed)
            turns.check(missing, self._study.engine.gpus_per_run)
            for outcome in LocalEngine(turns, self._places, progress.look).run(specs):
                progress.finish(outcome)
                outcomes.append(outcome)
        return outcomes

    def _planned(self, spec: RunSpec) -> int:
        """Epochs a run will train, as far as can be known."""
        method = self._registry.get(spec.method)(**spec.hyperparameters)
        return planned_epochs(method, Budget(spec.training.epochs))
