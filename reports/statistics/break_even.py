"""How often a network must be trained or used until the search for it has paid for itself.

Two questions: how many trainings, if the search is paid once and from then on the network that it
found is trained in place of the dense one; and how many inferences, if the recipe was run once and
its network answers in place of the dense one. A number of repetitions is a ratio of two means over
the same seeds; its limits are Fieller's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pandas as pd
from scipy.special import stdtrit

from reports.statistics.once import once
from reports.statistics.statistics import CONFIDENCE, Interval, energy_interval, t_interval
from reports.statistics.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.data import StudyResults


Verdict = Literal["immediately", "after", "undecided", "never", "no search", "not credited"]
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Payback:
    """After how many repetitions a price is paid back.

    Attributes:
        verdict: "after" that many; "immediately", where there is no price; "undecided", where the
            saving may be none; "never", where nothing is saved on average and by design or
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
    """

    arm: str
    training_j: Interval
    trainings: Payback | None
    inferences: Payback | None


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
    An inference costs what a sample of the test set did. Energy of lost work is left out on both
    sides. A network that has lost its score pays nothing back.
    """
    baseline = results.baseline_arm
    if baseline is None or baseline not in results.finished_arms:
        return []
    kept = {each.arm: each.verdict for each in summarise(results).challengers}
    return [
        _of_arm(arm, _paired(results, arm, baseline), str(kept.get(arm)), results.metric.name)
        for arm in results.finished_arms
        if arm != baseline
    ]


def _paired(results: StudyResults, arm: str, baseline: str) -> dict[int, _Run]:
    """The arm's runs that have a baseline's beside them, by seed."""
    columns = ("energy_j", "lost_j", "epochs_trained", "test_j", "test_samples", "macs")
    own = {c: _numbers(results, arm, c) for c in (*columns, "search_j", "search_epochs")}
    base = {c: _numbers(results, baseline, c) for c in columns}
    own_precision, base_precision = (_words(results, each, "precision") for each in (arm, baseline))
    runs = {}
    for seed in sorted(own["energy_j"].keys() & base["energy_j"].keys()):
        mine = {c: values.get(seed, math.nan) for c, values in own.items()}
        dense = {c: values.get(seed, math.nan) for c, values in base.items()}
        runs[seed] = _Run(
            recipe_j=mine["energy_j"] - _or_none(mine["lost_j"]),
            dense_j=dense["energy_j"] - _or_none(dense["lost_j"]),
            dense_epochs=dense["epochs_trained"],
            search_j=mine["search_j"],
            search_epochs=mine["search_epochs"],
            epochs=mine["epochs_trained"],
            sample_j=_per_sample(mine),
            dense_sample_j=_per_sample(dense),
            is_lighter=own_precision != base_precision or not mine["macs"] >= dense["macs"],
        )
    return runs


def _numbers(results: StudyResults, arm: str, column: str) -> dict[int, float]:
    """The known values of a column by seed; none where older results lack it."""
    rows = results.finished_of(arm)
    if column not in rows:
        return {}
    known = pd.to_numeric(rows[column], errors="coerce").astype(float)
    return {
        int(seed): float(value)
        for seed, value in zip(rows["seed"], known, strict=True)
        if math.isfinite(value)
    }


def _words(results: StudyResults, arm: str, column: str) -> set[str]:
    """The distinct texts of a column; none where older results lack it."""
    rows = results.finished_of(arm)
    return set(map(str, rows[column].dropna())) if column in rows else set()


def _or_none(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _per_sample(row: Mapping[str, float]) -> float:
    return row["test_j"] / row["test_samples"] if row["test_samples"] > 0 else math.nan


def _of_arm(arm: str, runs: Mapping[int, _Run], kept: str, score: str) -> BreakEven:
    training = {seed: run.training_j for seed, run in runs.items()}
    return BreakEven(
        arm=arm,
        training_j=energy_interval(training.values()),
        trainings=_credited(_trainings(runs), kept, score),
        inferences=_credited(_inferences(runs), kept, score),
    )


def _credited(found: Payback | None, kept: str, score: str) -> Payback | None:
    """The same answer, unless the verdict on the network's score forbids it."""
    if found is None or found.verdict not in ("after", "undecided", "immediately"):
        return found
    if kept == "worse":
        found = replace(found, verdict="not credited", why=f"its {score} is worse")
        return replace(found, times=math.nan, low=math.nan, high=math.nan)
    if kept == "inconclusive" and not found.why:
        return replace(found, why=f"if it keeps the {score}, which is inconclusive")
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


def _inferences(runs: Mapping[int, _Run]) -> Payback | None:
    known = {s: r for s, r in runs.items() if not math.isnan(r.sample_j + r.dense_sample_j)}
    if not known:
        return None
    extra = {seed: run.recipe_j - run.dense_j for seed, run in known.items()}
    saving = {seed: run.dense_sample_j - run.sample_j for seed, run in known.items()}
    price = t_interval(extra.values())
    if price.high <= 0:
        costs_more = t_interval(saving.values()).high < 0
        why = "the recipe is cheaper" + (", though each inference costs more" if costs_more else "")
        return _without("immediately", why, price, saving)
    if not any(run.is_lighter for run in known.values()):
        return _as_large(price, saving)
    if price.mean <= 0:
        why = "the recipe may cost more than dense or less" if price.bounded else "one seed"
        return _without("undecided", why, price, saving)
    return _payback(extra, saving, price)


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
