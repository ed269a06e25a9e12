"""Tuning: the trials of a study, and its runs with the recipes that they chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from harness.results.folder import RunFolder, StudyFolder
from harness.results.status import status_of
from harness.scheduler.halving import Halving
from harness.scheduler.ordering import Reliance, in_random_order
from harness.study.expand import expand
from harness.study.trials import trial_study, tuned_arm

if TYPE_CHECKING:
    from harness.settings.run_spec import RunSpec
    from harness.settings.settings import Training
    from harness.study.registry import Registry
    from harness.study.study import Study


class Standing(NamedTuple):
    """How many trials have ended, and how many there are."""

    ended: int
    trials: int


@dataclass(frozen=True)
class Tuning:
    """The trials of a study.

    Attributes:
        study: The trials as a study of their own.
        folder: Where they are stored: `tuning` in the results folder.
        specs: All trials of all lengths, in the order in which to begin them.
        relied_on: The trials that a trial builds on.
        rounds: Which trials the results call for.
    """

    study: Study
    folder: StudyFolder
    specs: list[RunSpec]
    relied_on: Reliance
    rounds: Halving

    @classmethod
    def of(
        cls, study: Study, registry: Registry, folder: StudyFolder, runs: Iterable[RunSpec]
    ) -> Tuning | None:
        """The trials for the arms of these runs of a study; None if it tunes nothing.

        Raises:
            UsageError: The recipe refuses a trial's values.
        """
        if not study.tuning.space:
            return None
        trials = trial_study(study)
        arms = {run.arm for run in runs}
        specs = [spec for spec in expand(trials, registry) if tuned_arm(spec) in arms]
        relied_on = Reliance(specs, registry)
        specs = in_random_order(specs, relied_on)
        rounds = Halving(study.tuning, specs, relied_on, study.training.epochs)
        return cls(trials, folder.tuning, specs, relied_on, rounds)

    @property
    def missing(self) -> list[RunSpec]:
        """Trials that are called for and have not ended; a failed one has lost, and stays."""
        called = self.rounds.called(self.folder).runs
        return [s for s in called if status_of(self.folder.run(s)) not in ("done", "failed")]

    @property
    def possible(self) -> list[RunSpec]:
        """As many trials as there will be, but for those that failed."""
        called = self.rounds.called(self.folder)
        trials = [*called.runs, *called.may_follow]
        return [spec for spec in trials if status_of(self.folder.run(spec)) != "failed"]

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        """The folders of the trials that are called for."""
        return tuple(self.folder.run(spec) for spec in self.rounds.called(self.folder).runs)

    @property
    def standing(self) -> Standing:
        """How many trials have ended."""
        called = self.rounds.called(self.folder)
        ended = len(called.runs) - len(self.missing)
        return Standing(ended, len(called.runs) + len(called.may_follow))

    @property
    def progress(self) -> str:
        """The same in words."""
        return f"tuning: {self.standing.ended} of {self.standing.trials} trials have ended"


def tuned(specs: list[RunSpec], chosen: Mapping[str, Training]) -> list[RunSpec]:
    """The runs of a study with the recipe of their arm."""
    return [spec.model_copy(update={"training": chosen[spec.arm]}) for spec in specs]


def kind_of_trial(spec: RunSpec) -> str:
    """What a plan calls the trials of one arm and length."""
    return f"{tuned_arm(spec)}, trials of {spec.training.epochs} epochs"
