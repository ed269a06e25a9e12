"""Which trials of a tuned study the results so far call for, and which recipe each arm then has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from harness.results.folder import StudyFolder
from harness.results.status import status_of
from harness.results.tuning import ranked, rungs, validation_score
from harness.scheduler.rounds import Called
from harness.settings.run_spec import RunSpec
from harness.settings.settings import Training
from harness.settings.tuning import TuningSettings
from harness.study.trials import trial_number, tuned_arm

_ENDED = ("done", "failed")


class Halving:
    """Calls for the trials of every arm, rung by rung; as `Rounds` does for seeds.

    It follows from the records alone. A trial that an arm's trial builds on is trained, too, where
    its own arm has given it up; it does not compete there.

    Args:
        tuning: What is tuned, and how.
        specs: All trials of all lengths, in the order in which to begin them.
        relied_on: The trials that a trial builds on.
        epochs: Length of the study's runs.
    """

    def __init__(
        self,
        tuning: TuningSettings,
        specs: Sequence[RunSpec],
        relied_on: Callable[[RunSpec], list[RunSpec]],
        epochs: int,
    ) -> None:
        self._lengths = tuning.lengths(epochs)
        self._specs = list(specs)
        self._relied_on = relied_on
        self._trials = {
            (tuned_arm(spec), trial_number(spec), spec.training.epochs): spec for spec in specs
        }
        self._arms = list(dict.fromkeys(arm for arm, _, _ in self._trials))
        self._numbers = range(tuning.trials)

    @property
    def least(self) -> int:
        """How many trials are trained if none only because another builds on it."""
        return sum(len(self._arms) * count for count in self._counts())

    def called(self, folder: StudyFolder) -> Called:
        """What the records in the folder of the trials call for.

        `may_follow` has as many trials of the further rungs as there will be; which, is open.
        """
        chosen: set[str] = set()
        reason = ""
        for number, competing in enumerate(self._rungs(folder), start=1):
            here = [spec for specs in competing.values() for spec in specs]
            chosen |= self._with_needed(here)
            reason = (
                f"tuning: rung {number} of {len(self._lengths)}, {len(here)} trials of "
                f"{here[0].training.epochs} epochs"
            )
            if not self._have_ended(folder, chosen):
                break
        further = [
            self._trials[arm, trial, length].title
            for length, count in list(zip(self._lengths, self._counts(), strict=True))[number:]
            for arm in self._arms
            for trial in self._numbers[:count]
        ]
        return Called(
            [spec for spec in self._specs if spec.title in chosen],
            [s for s in self._specs if s.title in further and s.title not in chosen],
            reason=reason,
        )

    def chosen(self, folder: StudyFolder) -> dict[str, Training] | None:
        """The recipe of each arm: of its best trial at full length; None while trials are open."""
        found: dict[str, Training] = {}
        called = {spec.title for spec in self.called(folder).runs}
        if not self._have_ended(folder, called):
            return None
        *_, last = self._rungs(folder)
        for arm, specs in last.items():
            numbers = [trial_number(spec) for spec in specs]
            best, *_ = ranked(numbers, self._lengths[-1], partial(self._score, folder, arm))
            found[arm] = self._trials[arm, best, self._lengths[-1]].training
        return found

    def _counts(self) -> list[int]:
        """How many trials of an arm compete in each rung."""
        return [len(alive) for _, alive in rungs(self._lengths, self._numbers, lambda *_: None)]

    def _rungs(self, folder: StudyFolder) -> Iterator[dict[str, list[RunSpec]]]:
        """Of each rung the trials that compete, by arm; a rung follows from the one before."""
        of_arms = [
            rungs(self._lengths, self._numbers, partial(self._score, folder, arm))
            for arm in self._arms
        ]
        for in_step in zip(*of_arms, strict=True):
            yield {
                arm: [self._trials[arm, trial, length] for trial in alive]
                for arm, (length, alive) in zip(self._arms, in_step, strict=True)
            }

    def _score(self, folder: StudyFolder, arm: str, trial: int, length: int) -> float | None:
        return validation_score(folder.run(self._trials[arm, trial, length]))

    def _with_needed(self, specs: Sequence[RunSpec]) -> set[str]:
        """Titles of some trials and of all that they build on."""
        found: set[str] = set()
        waiting = list(specs)
        while waiting:
            spec = waiting.pop()
            if spec.title not in found:
                found.add(spec.title)
                waiting += self._relied_on(spec)
        return found

    def _have_ended(self, folder: StudyFolder, titles: set[str]) -> bool:
        runs = (folder.run(spec) for spec in self._specs if spec.title in titles)
        return all(status_of(run) in _ENDED for run in runs)
