"""How often a network must be trained or used until the search for it has paid for itself.

Two questions: how many trainings, if the search is paid once and from then on the network that it
found is trained in place of the dense one; and how many inferences, if the recipe was run once and
its network answers in place of the dense one, where the lines of their lifetimes cross
(`lifetime.py`). A number of repetitions is a ratio of two means over the same seeds; its limits are
Fieller's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from scipy.special import stdtrit

from reports.statistics.lifetime import (
    Inferences,
    inferences_of,
    lifetime,
    numbers,
    recipes_per_inference,
)
from reports.statistics.once import once
from reports.statistics.statistics import CONFIDENCE, Interval, energy_interval, t_interval
from reports.statistics.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.data import StudyResults


Verdict = Literal[
    "immediately", "until", "after", "undecided", "never", "no search", "not credited"
]
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Payback:
    """After how many repetitions a price is paid back.

    Attributes:
        verdict: "after" that many; "immediately", where there is no price; "until" that many, where
            there is none, but each repetition costs more; "undecided", where the saving may be
            none; "never", where nothing is saved on average and by design or
            by the whole interval; "no search", where there was none; "not credited", where the
            network is shown to be worse than the dense one by more than the margin.
        why: The reason of the verdict, or what its number takes for granted; may be empty.
        price_j: What is paid once, in joules.
        saving_j: What each repetition saves, in joules.
        times: The price over the saving; NaN where nothing is saved on average.
        low: The lower 95 % limit of `times`; NaN with one seed.
        high: The upper one; infinite where the saving may be none.
    """

    verdict: Verdict
    why: str
    price_j: Interval
    saving_j: Interval
    times: float
    low: float
    high: float


@dataclass(frozen=True)
class BreakEven:
    """When one arm has paid for itself against the baseline; parts that are not known are None.

    Attributes:
        arm: The arm.
        training_j: What each training of its final network costs, in joules; NaN if unknown.
        trainings: Against training the dense network as often.
        inferences: Against using the dense network as often.
        each: What an inference draws, and how that is known.
    """

    arm: str
    training_j: Interval
    trainings: Payback | None
    inferences: Payback | None
    each: Inferences


@dataclass(frozen=True)
class _Run:
    """One run with the baseline's run of the same seed, in joules without what was lost."""

    recipe_j: float
    dense_j: float
    dense_epochs: float
    search_j: float
    search_epochs: float
    epochs: float
    sample_j: float
    dense_sample_j: float
    is_lighter: bool
    """Whether a pass through the network can cost less than through the dense one."""

    @property
    def epochs_after(self) -> float:
        """How many epochs the network trained in its final shape."""
        return self.epochs - self.search_epochs

    @property
    def training_j(self) -> float:
        """The final network's training for as many epochs as the dense one's."""
        if not self.epochs_after >= 1:
            return math.nan
        return (self.recipe_j - self.search_j) / self.epochs_after * self.dense_epochs


@once
def break_even(results: StudyResults) -> list[BreakEven]:
    """Every finished arm against the baseline, seed by seed; empty without a baseline.

    A search costs `search_j`: all that was spent until the network had its final shape. Each
    further training costs what an epoch cost from then on, for as many epochs as the dense run had.
    An inference costs what was measured, or what a sample of the test set did. Energy of lost work
    is left out on both sides. A network that has lost its score pays nothing back.
    """
    baseline = results.baseline_arm
    if baseline is None or baseline not in results.finished_arms:
        return []
    kept = {each.arm: each.verdict for each in summarise(results).challengers}
    return [
        _of_arm(results, arm, baseline, str(kept.get(arm)))
        for arm in results.finished_arms
        if arm != baseline
    ]


def _paired(
    results: StudyResults, arm: str, baseline: str, ours: Inferences, theirs: Inferences
) -> dict[int, _Run]:
    """The arm's runs that have a baseline's beside them, by seed."""
    columns = ("epochs_trained", "macs")
    own: dict[str, BySeed] = {
        c: numbers(results, arm, c) for c in (*columns, "search_j", "search_epochs")
    }
    base: dict[str, BySeed] = {c: numbers(results, baseline, c) for c in columns}
    own |= {"recipe_j": lifetime(results, arm, ours).recipe_j, "sample_j": ours.energy_j}
    base |= {"recipe_j": lifetime(results, baseline, theirs).recipe_j, "sample_j": theirs.energy_j}
    own_precision, base_precision = (_words(results, each, "precision") for each in (arm, baseline))
    # An exported network computes in the precision of its weights, whatever it was trained in.
    another = own_precision != base_precision and not ours.measured
    runs = {}
    for seed in sorted(own["recipe_j"].keys() & base["recipe_j"].keys()):
        mine = {c: values.get(seed, math.nan) for c, values in own.items()}
        dense = {c: values.get(seed, math.nan) for c, values in base.items()}
        runs[seed] = _Run(
            recipe_j=mine["recipe_j"],
            dense_j=dense["recipe_j"],
            dense_epochs=dense["epochs_trained"],
            search_j=mine["search_j"],
            search_epochs=mine["search_epochs"],
            epochs=mine["epochs_trained"],
            sample_j=mine["sample_j"],
            dense_sample_j=dense["sample_j"],
            is_lighter=another or not mine["macs"] >= dense["macs"],
        )
    return runs


def _words(results: StudyResults, arm: str, column: str) -> set[str]:
    """The distinct texts of a column; none where older results lack it."""
    rows = results.finished_of(arm)
    return set(map(str, rows[column].dropna())) if column in rows else set()


def _of_arm(results: StudyResults, arm: str, baseline: str, kept: str) -> BreakEven:
    ours, theirs = inferences_of(results, arm, baseline)
    runs = _paired(results, arm, baseline, ours, theirs)
    training = {seed: run.training_j for seed, run in runs.items()}
    score = results.metric.name
    used = _inferences(runs, ours, theirs, recipes_per_inference(results))
    return BreakEven(
        arm=arm,
        training_j=energy_interval(training.values()),
        trainings=_credited(_trainings(runs), kept, score),
        inferences=_credited(used, kept, score),
        each=ours,
    )


def _credited(found: Payback | None, kept: str, score: str) -> Payback | None:
    """The same answer, unless the verdict on the network's score forbids it."""
    if found is None or found.verdict not in ("after", "until", "undecided", "immediately"):
        return found
    if kept == "worse":
        found = replace(found, verdict="not credited", why=f"its {score} is worse")
        return replace(found, times=math.nan, low=math.nan, high=math.nan)
    if kept == "inconclusive" and found.verdict != "undecided":
        kept = f"if it keeps the {score}, which is inconclusive"
        return replace(found, why="; ".join(filter(None, (found.why, kept))))
    return found


def _trainings(runs: Mapping[int, _Run]) -> Payback | None:
    known = {s: run for s, run in runs.items() if not math.isnan(run.search_j + run.search_epochs)}
    if not known:
        return None
    search = {seed: run.search_j for seed, run in known.items()}
    saving = {seed: run.dense_j - run.training_j for seed, run in known.items()}
    price = energy_interval(search.values())
    if all(run.search_j == 0 for run in known.values()):
        return _without("no search", "its shape never changes", price, saving)
    if not any(run.is_lighter for run in known.values()):
        return _as_large(price, saving)
    if all(run.search_epochs == 0 for run in known.values()):
        return _without("no search", "its shape is there from the start", price, saving)
    if any(run.epochs_after < 1 for run in known.values()):
        return _without("undecided", "its shape changes until the end", price, {})
    return _payback(search, saving, price)


def _inferences(
    runs: Mapping[int, _Run], ours: Inferences, theirs: Inferences, recipes: float
) -> Payback | None:
    """When using the network has paid for its recipe.

    Args:
        runs: The arm's, by seed.
        ours: What an inference of its networks draws.
        theirs: And of dense ones.
        recipes: Share of a further recipe that each inference bears.
    """
    known = {s: r for s, r in runs.items() if not math.isnan(r.sample_j + r.dense_sample_j)}
    if not known:
        return None
    extra = {seed: run.recipe_j - run.dense_j for seed, run in known.items()}
    plain = {seed: run.dense_sample_j - run.sample_j for seed, run in known.items()}
    saving = {seed: plain[seed] - recipes * extra[seed] for seed in known}
    price = t_interval(extra.values())
    ways = sorted({*ours.how, *theirs.how})
    if len(ways) > 1:
        return _without("undecided", f"measured differently: {'; '.join(ways)}", price, saving)
    lighter = any(run.is_lighter for run in known.values())
    if price.high <= 0:
        if not (lighter and t_interval(saving.values()).high < 0):
            return _without("immediately", "the recipe is cheaper", price, saving)
        found = _payback({s: -each for s, each in extra.items()}, _negative(saving), price)
        found = replace(found, verdict="until", why="the recipe is cheaper, each inference dearer")
        found = replace(found, saving_j=t_interval(saving.values()))
    elif not lighter:
        return _as_large(price, saving)
    elif price.mean <= 0:
        why = "the recipe may cost more than dense or less" if price.bounded else "one seed"
        return _without("undecided", why, price, saving)
    else:
        found = _payback(extra, saving, price)
        if found.verdict == "never" and recipes:
            why = "with its share of retraining, each inference costs more than dense"
            found = replace(found, why=why)
    doubt = max(ours.doubt, theirs.doubt, key=lambda each: (math.isnan(each), each))
    return _doubted(found, t_interval(plain.values()).mean, recipes * price.mean, doubt)


def _negative(values: BySeed) -> BySeed:
    return {seed: -value for seed, value in values.items()}


def _doubted(found: Payback, plain_j: float, borne_j: float, doubt: float) -> Payback:
    """The same answer, where inferences may be off by a factor that recipes are not.

    Args:
        found: Without that.
        plain_j: What an inference saves by itself.
        borne_j: What retraining takes of it.
        doubt: How far off, as a share; NaN if unknown.
    """
    if doubt == 0 or not found.saving_j.bounded:
        return found
    if math.isnan(doubt):
        why = "trained and used on two devices, and the error of their sensors is unknown"
        return replace(found, verdict="undecided", why=why, low=math.nan, high=math.nan)
    saved, *others = (plain_j * scale - borne_j for scale in (1.0, 1 + doubt, 1 / (1 + doubt)))
    # How much sooner and later the lines cross at the ends of that factor.
    ratios = [saved / other if other * saved > 0 else math.inf for other in others]
    if found.verdict in ("after", "until", "never") and math.inf in ratios:
        found = replace(found, verdict="undecided", why="the saving may be none")
    if not found.times > 0:
        return found
    soon, late = min(*ratios, 1.0), max(*ratios, 1.0)
    low, high = found.low, math.inf
    if low > 0:
        low = found.times * math.exp(-math.hypot(math.log(found.times / low), math.log(soon)))
    if math.isfinite(found.high) and math.isfinite(late):
        high = found.times * math.exp(
            math.hypot(math.log(found.high / found.times), math.log(late))
        )
    return replace(found, low=low, high=high)


def _as_large(price: Interval, saving: BySeed) -> Payback:
    """Of a network that is no smaller than dense, which saves nothing by what it is."""
    if t_interval(saving.values()).mean > 0:
        why = "as large as dense, so what was saved is not the network's doing"
        return _without("undecided", why, price, saving)
    return _without("never", "as large as dense", price, saving)


def _payback(prices: BySeed, saving: BySeed, price: Interval) -> Payback:
    """The price over the saving, with the limits that the pairs allow."""
    shared = sorted(seed for seed in saving if not math.isnan(saving[seed]))
    if not shared:
        return _without("undecided", "", price, saving)
    paid, saved = [prices[seed] for seed in shared], [saving[seed] for seed in shared]
    mean_price, mean_saving = t_interval(paid), t_interval(saved)
    times = mean_price.mean / mean_saving.mean if mean_saving.mean > 0 else math.nan
    low, high = ratio_limits(paid, saved)
    verdict: Verdict
    if not mean_saving.bounded:
        verdict, why = "undecided", "one seed"
    elif mean_saving.high < 0:
        verdict, why, low, high = "never", "it costs more than dense each time", math.nan, math.nan
    elif not mean_saving.low > 0:
        verdict, why = "undecided", "the saving may be none"
    else:
        verdict, why = "after", ""
    return Payback(verdict, why, price, mean_saving, times, low, high)


def _without(verdict: Verdict, why: str, price: Interval, saving: BySeed) -> Payback:
    """A verdict that names no number."""
    return Payback(verdict, why, price, t_interval(saving.values()), math.nan, math.nan, math.nan)


def ratio_limits(
    above: Sequence[float], below: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Limits of mean(above) / mean(below), of which only values from 0 up have a meaning.

    The ratios r for which the t interval of above − r · below contains 0 (Fieller 1954, J. R.
    Statist. Soc. B 16:2): with a constant numerator, it over the two limits of the denominator.
    Where the denominator's own interval contains 0 there is no upper limit: that is infinite.

    Returns:
        The lower and the upper limit; NaN with fewer than two pairs, or where no ratio from 0 up
        is left.
    """
    n = len(above)
    if n < 2:
        return math.nan, math.nan
    mean_a, mean_b = math.fsum(above) / n, math.fsum(below) / n
    pairs = [(a - mean_a, b - mean_b) for a, b in zip(above, below, strict=True)]
    t2 = float(stdtrit(n - 1, (1 + confidence) / 2)) ** 2 / (n * (n - 1))
    # The ratios with square · r² − 2 · cross · r + constant ≤ 0.
    square = mean_b**2 - t2 * math.fsum(b * b for _, b in pairs)
    cross = mean_a * mean_b - t2 * math.fsum(a * b for a, b in pairs)
    constant = mean_a**2 - t2 * math.fsum(a * a for a, _ in pairs)
    root = math.sqrt(max(cross**2 - square * constant, 0.0))
    if square > 0:
        high = (cross + root) / square
        return (max((cross - root) / square, 0.0), high) if high >= 0 else (math.nan, math.nan)
    if constant <= 0:
        return 0.0, math.inf
    if cross + root == 0:
        return math.nan, math.nan
    return constant / (cross + root), math.inf
