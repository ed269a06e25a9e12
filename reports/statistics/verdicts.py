"""Which arms keep the score: one verdict per arm, with one chance of error shared by all.

Of the studies whose arms all lose exactly the accepted margin, at most 2.5 % call any of them
non-inferior, and at most 2.5 % call any worse: the levels of several arms are Holm's (1979, Scand.
J. Statistics 6:2).

A study that adds seeds until its verdicts are decided looks at every number of seeds, and each look
is one more chance to be wrong. `level_per_look` lowers the level of each look until the chance that
any of them errs is that of a single one (group-sequential testing; Pocock 1977, Biometrika 64:2,
for a constant level; here for Student's t, whose spread is unknown). A verdict stays as it was when
it was decided (Maurer & Bretz 2013, Statistics in Biopharmaceutical Research 5:4, for Holm's levels
and looks together).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import beta, stdtrit

from reports.statistics.score_difference import Difference, score_difference
from reports.statistics.statistics import CONFIDENCE, Interval, Verdict, non_inferiority

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.results.final_test import FinalTest
    from harness.study.study import UntilDecided


LEVEL = (1 - CONFIDENCE) / 2
"""How often a study may err to one side, in whichever of its arms and at whichever look."""


_DECIDED: tuple[Verdict, ...] = ("non-inferior", "worse")


@dataclass(frozen=True)
class Decision:
    """What is shown of one arm's score against the baseline's.

    Attributes:
        verdict: Of all arms together: at most 2.5 % of studies err in any of them.
        interval: The difference that the verdict rests on, in the metric's own unit and sign, at
            its level.
        alone: The verdict if this arm were the only one.
        own: The difference that this one rests on.
        arms: How many arms are compared with the baseline.
        decided_after: After how many pairs of seeds a rule decided; None if it has not, or if
            there is none.
        samples: Size of the test set, if the interval allows for its samples, too; else 0.
    """

    verdict: Verdict
    interval: Interval
    alone: Verdict
    own: Interval
    arms: int
    decided_after: int | None = None
    samples: int = 0


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
        margin: How much worse a score may be, in the metric's own unit.
        rule: How seeds are added, if they are.
    """
    base = tested.get(baseline, {})
    arms = {
        arm: _Seen(list(_looks(runs, base, rule)), score_difference(runs, base))
        for arm, runs in tested.items()
        if arm != baseline
    }
    # Without a rule, an arm of which there is no interval gets no verdict.
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

    An arm is not open if too many of its runs, or of the baseline's, have failed to leave enough
    seeds for a first look.

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
        yield score_difference(runs, base)
        return
    before = rule.min - 1
    for seeds in range(rule.min, rule.max + 1):
        shared = [seed for seed in range(seeds) if seed in runs and seed in base]
        if len(shared) <= before:
            yield None
            continue
        before = len(shared)
        yield score_difference({seed: runs[seed] for seed in shared}, base)


def _judge(
    arms: Mapping[str, _Seen], margin: float, rule: UntilDecided | None, count: int
) -> dict[str, Decision]:
    """Verdicts look by look; with each, the level of the arms that are still open grows.

    Args:
        arms: By label.
        margin: In the metric's own unit.
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
                if non_inferiority(interval.oriented(shown[arm].sign), margin) == verdict:
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
    """The confidence of this verdict for the next arm; each direction counts by itself."""
    left = max(count - sum(each.verdict == verdict for each in found.values()), 1)
    level = LEVEL / left
    return 1 - 2 * (level_per_look(rule.min, rule.max, level) if rule else level)


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
        samples=shown.samples if shown.counts_samples else 0,
    )


_NODES = 400
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(40)


@lru_cache(maxsize=256)
def level_per_look(least: int, most: int, level: float) -> float:
    """The one-sided level of each look that makes that of all looks together `level`.

    Exact for normal differences of unknown spread and a mean on the margin, with a look at each
    number of pairs. Only errors to one side count: that a study also ends on the other side makes
    it err less often.

    Args:
        least: Pairs of seeds at the first look, at least two.
        most: Pairs at the last look.
        level: One-sided, of all looks together, below 0.1.
    """
    if least == most:
        return level
    # Here, since only a study that adds seeds by a rule needs it, and it takes long to import.
    from scipy.optimize import brentq

    def excess(log: float) -> float:
        return false_rate(least, most, math.exp(log)) - level

    looks = most - least + 1
    log = brentq(excess, math.log(level / looks), math.log(level), xtol=1e-5)
    return math.exp(log)


def false_rate(least: int, most: int, per_look: float) -> float:
    """How often any look is beyond its one-sided level `per_look`, with no true difference.

    With S the sum of n differences and r the root of the sum of their squares, t follows from
    c = S / r. Since a direction and a length of normal values are independent, c is a Markov chain:
    the next one is c cos θ + sin θ, where θ has the density cos(θ)^(n−1) / B(1/2, n/2) on ±π/2.
    The chance to stay below all limits is integrated backwards over that chain.
    """
    stays = np.ones(_NODES)
    grid = _grid(most, _limit(most, per_look))
    for n in range(most - 1, least - 1, -1):
        limit = _limit(n + 1, per_look)
        here = _grid(n, _limit(n, per_look))
        stays = _step(n, here, limit, grid, stays)
        grid = here
    # The first look: c = √n sin α, where α has the density cos(α)^(n−2) / B(1/2, (n−1)/2).
    top = math.asin(_limit(least, per_look) / math.sqrt(least))
    angle, weight = _between(np.array([-math.pi / 2]), np.array([top]))
    kept = np.interp(math.sqrt(least) * np.sin(angle), grid, stays)
    density = np.cos(angle) ** (least - 2) / beta(0.5, (least - 1) / 2)
    return 1 - float(np.sum(weight * density * kept))


def _limit(n: int, per_look: float) -> float:
    """What c must not exceed at n pairs."""
    t = float(stdtrit(n - 1, 1 - per_look))
    return math.sqrt(n * t**2 / (n - 1 + t**2))


def _grid(n: int, limit: float) -> np.ndarray:
    """Values of c up to its limit, dense towards both of its ends, ±√n."""
    return math.sqrt(n) * np.sin(np.linspace(-math.pi / 2, math.asin(limit / math.sqrt(n)), _NODES))


def _step(
    n: int, here: np.ndarray, limit: float, after: np.ndarray, stays: np.ndarray
) -> np.ndarray:
    """From each c at n pairs: the chance that no later look is beyond its limit.

    c cos θ + sin θ is R cos(θ − ψ): it is beyond the limit within acos(limit / R) of ψ.
    """
    middle = np.arctan2(1, here)
    reach = np.arccos(np.minimum(limit / np.hypot(1, here), 1))
    kept = np.zeros_like(here)
    quarter = np.full_like(here, math.pi / 2)
    below = np.clip(middle - reach, -quarter, quarter)
    above = np.clip(middle + reach, -quarter, quarter)
    above = np.where(reach > 0, above, quarter)
    below = np.where(reach > 0, below, quarter)
    for low, high in ((-quarter, below), (above, quarter)):
        angle, weight = _between(low, high)
        c = here[:, None] * np.cos(angle) + np.sin(angle)
        density = np.cos(angle) ** (n - 1) / beta(0.5, n / 2)
        kept += np.sum(weight * density * np.interp(c, after, stays), axis=1)
    return kept


def _between(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the Gauss-Legendre rule between two angles, a row per pair of them."""
    half = (high - low)[:, None] / 2
    return (high + low)[:, None] / 2 + half * _POINTS, half * _WEIGHTS
