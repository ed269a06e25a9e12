"""Which runs the results so far call for: seeds are added where a verdict is still open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.results.final_test import FinalTest, final_test
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.status import status_of
from harness.settings.run_spec import RunSpec
from harness.study.study import Study, UntilDecided

Tests = Mapping[str, Mapping[int, FinalTest]]
"""By arm and seed, what finished runs found on the test set; also arms without any."""

OpenArms = Callable[[Tests, str, UntilDecided], frozenset[str]]
"""The arms whose verdict a further seed may still decide, from all arms' tests, the name of the
arm that they are compared with, and the rule."""


@dataclass(frozen=True)
class Called:
    """What the results so far call for.

    Attributes:
        runs: Runs to be done, or done already, in the order of the study.
        may_follow: Runs that the next looks may call for.
        undecided: The arms whose verdict was open at the last look; before the first, all that
            will have one. None for a study that lists its seeds.
        reason: Why the latest are called for, where no verdict is open.
    """

    runs: list[RunSpec]
    may_follow: list[RunSpec]
    undecided: frozenset[str] = frozenset()
    reason: str = ""

    def open_arms(self, specs: Iterable[RunSpec]) -> str:
        """The undecided arms among those of some runs, for people."""
        arms = dict.fromkeys(spec.arm for spec in specs)
        return ", ".join(arm for arm in arms if arm in self.undecided)


class CallsRuns(Protocol):
    """Decides by the results so far which runs are done next."""

    def called(self, folder: StudyFolder, /) -> Called:
        """What the records in a results folder call for."""
        ...


class Rounds:
    """Calls for every run of a study that lists its seeds; by a rule, for one seed after the other.

    By a rule, every arm runs with the first seeds; each further seed is for the arms whose verdict
    is open after all runs before it have ended, with the baseline and what they build on. It
    follows from the records alone, so that a resumed study comes to the same runs.

    Args:
        study: What is run.
        specs: All its runs up to the last seed that the rule allows.
        relied_on: The runs that a run builds on.
        open_arms: Finds the arms that are open.
    """

    def __init__(
        self,
        study: Study,
        specs: Sequence[RunSpec],
        relied_on: Callable[[RunSpec], list[RunSpec]],
        open_arms: OpenArms,
    ) -> None:
        self._rule = study.rule
        self._specs = list(specs)
        self._relied_on = relied_on
        self._open_arms = open_arms
        first = next(iter(study.variants), None)
        dense = (s.arm for s in specs if (s.method, s.variant) == ("dense", first))
        self._baseline = next(dense, "dense")

    @property
    def least(self) -> int:
        """How many runs the study has in any case."""
        return len(self._first()) if self._rule else len(self._specs)

    def called(self, folder: StudyFolder) -> Called:
        """What the records in a results folder call for."""
        rule = self._rule
        if rule is None:
            return Called(self._specs, [])
        chosen = {spec.title for spec in self._first()}
        wanted = {spec.arm for spec in self._specs}
        undecided = frozenset(wanted - {self._baseline})
        tests = self._tests(folder)
        seed = rule.min
        while seed < rule.max and self._have_ended(folder, chosen):
            known = {
                arm: {s: test for s, test in runs.items() if s < seed}
                for arm, runs in tests.items()
            }
            undecided = self._open_arms(known, self._baseline, rule)
            wanted = self._with_needed(undecided)
            if not wanted:
                break
            chosen |= {s.title for s in self._specs if s.seed == seed and s.arm in wanted}
            seed += 1
        rest = [s for s in self._specs if s.title not in chosen and s.seed >= seed]
        return Called(
            [spec for spec in self._specs if spec.title in chosen],
            [spec for spec in rest if spec.arm in wanted],
            undecided,
        )

    def _first(self) -> list[RunSpec]:
        least = self._rule.min if self._rule else 0
        return [spec for spec in self._specs if spec.seed < least]

    def _have_ended(self, folder: StudyFolder, titles: set[str]) -> bool:
        ended = ("done", "failed")
        return all(
            status_of(folder.run(spec)) in ended for spec in self._specs if spec.title in titles
        )

    def _with_needed(self, arms: frozenset[str]) -> set[str]:
        """Some arms, with what they are compared with and what they build on; none for none."""
        if not arms:
            return set()
        one_seed = {spec.arm: spec for spec in self._specs}
        found: set[str] = set()
        waiting = [*arms, self._baseline]
        while waiting:
            arm = waiting.pop()
            if arm in one_seed and arm not in found:
                found.add(arm)
                waiting += [other.arm for other in self._relied_on(one_seed[arm])]
        return found

    def _tests(self, folder: StudyFolder) -> dict[str, dict[int, FinalTest]]:
        """Of this study's arms, and of those that were run into the same folder before."""
        found: dict[str, dict[int, FinalTest]] = {spec.arm: {} for spec in self._specs}
        runs: dict[str, tuple[str, int, RunFolder]] = {
            spec.title: (spec.arm, spec.seed, folder.run(spec)) for spec in self._specs
        }
        for run in folder.runs():
            spec = run.read_spec()
            runs.setdefault(spec.title, (spec.arm, spec.seed, run))
        for arm, seed, run in runs.values():
            of_arm = found.setdefault(arm, {})
            test = final_test(Journal(run)) if status_of(run) == "done" else None
            if test is not None:
                of_arm[seed] = test
        return found
