"""Seeds until every verdict is decided: the scheduler's rounds, judged as reports judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.scheduler.rounds import Rounds
from harness.settings.metric import ACCURACY

if TYPE_CHECKING:
    from harness.scheduler.rounds import Called, Tests
    from harness.settings.run_spec import RunSpec
    from harness.study.study import Study, UntilDecided


def rounds_of(
    study: Study, specs: list[RunSpec], relied_on: Callable[[RunSpec], list[RunSpec]]
) -> Rounds:
    """Which runs of a study its results call for, at the margin of its report."""

    def open_arms(tests: Tests, baseline: str, rule: UntilDecided) -> frozenset[str]:
        # It imports scipy, which a study that lists its seeds need not wait for.
        from reports.statistics.verdicts import open_arms

        found = (test.metric for runs in tests.values() for test in runs.values())
        metric = next(found, ACCURACY)
        margin = study.report.margin_of(metric) / metric.factor
        return open_arms(tests, baseline, margin, rule)

    return Rounds(study, specs, relied_on, open_arms)


def described(study: Study, rounds: Rounds, most: int) -> str:
    """How many runs a study has, such as "12 runs" or "12 to 40 runs (3 to 10 seeds ...)"."""
    rule = study.rule
    if rule is None:
        return f"{most} runs"
    return f"{rounds.least} to {most} runs ({rule.min} to {rule.max} seeds, until decided)"


def rule_progress(rule: UntilDecided, called: Called) -> str:
    """The progress of a rule that adds seeds, in a sentence."""
    if not called.may_follow:
        return "seeds: no verdict needs further seeds after these runs"
    arms = called.open_arms(called.may_follow)
    return f"seeds: at most {rule.max}; these verdicts may need more: {arms}"
