"""Which arms keep the accuracy: one verdict an arm, all of them held to one chance of error.

Of the studies whose arms all lose just as much as is accepted, at most 2.5 % call any of them non-
inferior, and as few of those call any worse: the levels of several arms are Holm's (1979, Scand.
J. Statistics 6:2). Where seeds are added until verdicts are decided, each look has the level that
holds the same over all looks (`looks`), and a verdict stays as it was when it was decided (Maurer
& Bretz 2013, Statistics in Biopharmaceutical Research 5:4, for both together).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reports.analysis.accuracy import Difference, accuracy_difference
from reports.analysis.looks import level_a_look
from reports.analysis.statistics import CONFIDENCE, Interval, Verdict, non_inferiority

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.results.final_test import FinalTest
    from harness.study import UntilDecided

LEVEL = (1 - CONFIDENCE) / 2
"""How often a study may err to one side, in whichever of its arms and at whichever look."""


_DECIDED: tuple[Verdict, ...] = ("non-inferior", "worse")


@dataclass(frozen=True)
class Decision:
    """What is shown of one arm's accuracy against the baseline's.

    Attributes:
        verdict: Of all arms together: at most 2.5 % of studies err in any of them.
        interval: The difference that the verdict rests on, in shares of 1, at its level.
        alone: The verdict if this arm were the only one.
        own: The difference that this one rests on.
        arms: How many arms are compared with the baseline.
        decided_after: After how many pairs of seeds a rule decided; None if it has not, or if
            there is none.
        images: Size of the test set, if the interval allows for its images, too; else 0.
    """

    verdict: Verdict
    interval: Interval
    alone: Verdict
    own: Interval
    arms: int
    decided_after: int | None = None
    images: int = 0


def decide(
    tested: Mapping[str, Mapping[int, FinalTest]],
    baseline: str,
    margin: float,
    rule: UntilDecided | None = None,
) -> dict[str, Decision]:
    """The verdict of every arm other than the baseline.

    Args:
        tested: By arm and seed, what its finished runs found on the test set; also arms of which
            no run has finished.
        baseline: What the others are compared with.
        margin: The accepted loss of accuracy, as a share of 1.
        rule: How seeds are added, if they are.
    """
    base = tested.get(baseline, {})
    arms = {
        arm: _Seen(list(_looks(runs, base, rule)), accuracy_difference(runs, base))
        for arm, runs in tested.items()
        if arm != baseline
    }
    # Without a rule, an arm of which there is no interval is one that nothing will be said of.
    count = len(arms) if rule else sum(seen.now.seeds > 1 for seen in arms.values())
    found = _judge(arms, margin, rule, count)
    decisions = {}
    for arm, seen in arms.items():
        own = _judge({arm: seen}, margin, rule, 1)[arm] if count > 1 else found[arm]
        decisions[arm] = replace(found[arm], alone=own.verdict, own=own.interval)
    return decisions


def open_arms(
    tested: Mapping[str, Mapping[int, FinalTest]], baseline: str, margin: float, rule: UntilDecided
) -> frozenset[str]:
    """The arms whose verdict a further seed may still decide.

    An arm is not open where so many of its runs, or of the baseline's, have failed that too few
    seeds are left for a first look.

    Args:
        tested: As in `decide`.
        baseline: As in `decide`.
        margin: As in `decide`.
        rule: How seeds are added.
    """
    base = tested.get(baseline, {})
    next_seed = max((seed for runs in tested.values() for seed in runs), default=-1) + 1
    found = decide(tested, baseline, margin, rule)
    return frozenset(
        arm
        for arm, decision in found.items()
        if decision.decided_after is None
        and len(tested[arm].keys() & base.keys()) + rule.max - next_seed >= rule.min
    )


@dataclass(frozen=True)
class _Seen:
    """What an arm shows at each look, None where nothing has been added; and over all its pairs."""

    looks: list[Difference | None]
    now: Difference


def _looks(
    runs: Mapping[int, FinalTest], base: Mapping[int, FinalTest], rule: UntilDecided | None
) -> Iterator[Difference | None]:
    if rule is None:
        yield accuracy_difference(runs, base)
        return
    before = rule.min - 1
    for seeds in range(rule.min, rule.max + 1):
        shared = [seed for seed in range(seeds) if seed in runs and seed in base]
        if len(shared) <= before:
            yield None
            continue
        before = len(shared)
        yield accuracy_difference({seed: runs[seed] for seed in shared}, base)


def _judge(
    arms: Mapping[str, _Seen], margin: float, rule: UntilDecided | None, count: int
) -> dict[str, Decision]:
    """Verdicts look by look; with each, the level of the arms that are still open grows.

    Args:
        arms: By label.
        margin: As a share of 1.
        rule: How seeds are added, if they are.
        count: How many arms share the chance of error.
    """
    found: dict[str, Decision] = {}
    shown: dict[str, Difference] = {}

    def settle() -> bool:
        """Whether anything that is shown now decides an open arm; Holm's next step follows."""
        sure = {verdict: _confidence(found, verdict, count, rule) for verdict in _DECIDED}
        before = len(found)
        for arm in shown.keys() - found.keys():
            for verdict in _DECIDED:
                interval = shown[arm].interval(sure[verdict])
                if non_inferiority(interval, margin) == verdict:
                    found[arm] = _decision(verdict, interval, shown[arm], count, rule is not None)
        return len(found) > before

    for look in range(rule.max - rule.min + 1 if rule else 1):
        shown |= {arm: seen for arm in arms if (seen := arms[arm].looks[look]) is not None}
        while settle():
            pass
    widest = max(_confidence(found, verdict, count, rule) for verdict in _DECIDED)
    for arm in arms.keys() - found.keys():
        last = shown.get(arm, arms[arm].now)
        found[arm] = _decision("inconclusive", last.interval(widest), last, count)
    return found


def _confidence(
    found: Mapping[str, Decision], verdict: Verdict, count: int, rule: UntilDecided | None
) -> float:
    """How sure to be of this verdict for the next arm; each direction counts by itself."""
    left = max(count - sum(each.verdict == verdict for each in found.values()), 1)
    level = LEVEL / left
    return 1 - 2 * (level_a_look(rule.min, rule.max, level) if rule else level)


def _decision(
    verdict: Verdict, interval: Interval, shown: Difference, count: int, by_rule: bool = False
) -> Decision:
    return Decision(
        verdict=verdict,
        interval=interval,
        alone=verdict,
        own=interval,
        arms=count,
        decided_after=shown.seeds if by_rule else None,
        images=shown.images if shown.counts_images else 0,
    )
