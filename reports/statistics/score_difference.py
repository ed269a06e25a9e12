"""Difference in test score between two arms, with its interval.

Two things are drawn by chance: the seeds, and the samples of the test set, which all seeds share.
More seeds make the first matter less, never the second. Runs are paired by seed and by sample: d is
the score of a sample with one arm less that with the other; where samples are right or wrong, 1 or
0 less 1 or 0. With n seeds and m samples, the squared standard error of the mean of d has a part of
the seeds, the variance of the n means over samples / n, and a part of the samples, the variance of
the m means over seeds / m; what belongs to neither alone is in both, so that their sum errs to the
safe side (Clark 1973, J. Verbal Learning and Verbal Behavior 12:4, for crossed random factors). The
interval's half-width is the root of the sum of the squares of both parts, each times its own t: its
coverage is at least nominal, whatever the parts' shares (Banerjee 1960, Sankhyā 22:3/4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from reports.statistics.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.results.final_test import FinalTest

_FURTHER_SAMPLES = 4
"""As if every seed won and lost this many further samples each: where they are right or wrong, and
hardly any differ, their count is a poor estimate (Agresti & Coull 1998, The American Statistician
52:2)."""


@dataclass(frozen=True)
class Difference:
    """Test score of one arm less another's, over pairs of runs with the same seed.

    Attributes:
        mean: In the metric's own unit and sign.
        seeds: How many pairs.
        samples: Size of the test set; 0 if it was not recorded.
        seed_variance: Squared standard error of the mean, of the seeds; NaN for one pair.
        sample_variance: The same of the samples; None if it was not recorded how each scored.
        least: The least that one sample of one seed changes the mean by.
        sign: The metric's: -1 where a lower score is better.
    """

    mean: float
    seeds: int
    samples: int
    seed_variance: float
    sample_variance: float | None
    least: float = 0.0
    sign: int = 1

    @property
    def counts_samples(self) -> bool:
        """Whether the samples of the test set count as drawn by chance, too."""
        return self.sample_variance is not None

    @cached_property
    def seed_error(self) -> float:
        """Standard error of the mean, of the seeds, at the least that one sample could change.

        Seeds that differ equally do so by chance: they show no more than if one of them had
        lost a further sample.
        """
        return max(math.sqrt(self.seed_variance), self.least)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The mean with its interval, in the same unit; unbounded for fewer than two pairs."""
        if self.seeds < 2:
            return Interval(self.mean, math.nan, math.nan, self.seeds, confidence)
        half = float(stdtrit(self.seeds - 1, (1 + confidence) / 2)) * self.seed_error
        if self.sample_variance is not None:
            more = half_width_of_samples(self.sample_variance, self.samples, confidence)
            half = math.hypot(half, more)
        return Interval(self.mean, self.mean - half, self.mean + half, self.seeds, confidence)


def score_difference(ours: Mapping[int, FinalTest], theirs: Mapping[int, FinalTest]) -> Difference:
    """The difference of two arms' test scores, by seed, over the seeds that both have."""
    shared = sorted(ours.keys() & theirs.keys())
    return difference_of_pairs([ours[seed] for seed in shared], [theirs[seed] for seed in shared])


def difference_of_pairs(ours: Sequence[FinalTest], theirs: Sequence[FinalTest]) -> Difference:
    """The difference of two arms' test scores, one pair of runs after the other."""
    pairs = [
        (one, other)
        for one, other in zip(ours, theirs, strict=True)
        if math.isfinite(one.score) and math.isfinite(other.score)
    ]
    n = len(pairs)
    if not n:
        return Difference(math.nan, 0, 0, math.nan, None)
    differences = [one.score - other.score for one, other in pairs]
    mean = math.fsum(differences) / n
    squares = math.fsum((each - mean) ** 2 for each in differences)
    samples, sample_variance = variance_of_samples(*zip(*pairs, strict=True))
    counts = all(run.is_count for pair in pairs for run in pair)
    return Difference(
        mean=mean,
        seeds=n,
        samples=samples,
        seed_variance=squares / (n - 1) / n if n > 1 else math.nan,
        sample_variance=sample_variance,
        least=1 / (n * samples) if samples and counts else 0.0,
        sign=pairs[0][0].metric.sign,
    )


def variance_of_samples(
    ours: Collection[FinalTest], theirs: Collection[FinalTest]
) -> tuple[int, float | None]:
    """Size of the test set that all these runs share, 0 if unknown, and what its samples add.

    That is the squared standard error of the difference of the two means; None if it was not
    recorded how each sample scored.
    """
    runs = (*ours, *theirs)
    sizes = {run.samples for run in runs}
    samples = sizes.pop() if len(sizes) == 1 else 0
    one, other = _mean_by_sample(ours), _mean_by_sample(theirs)
    if one is None or other is None or samples < 2:
        return samples, None
    difference = one - other
    squares = float(np.square(difference - difference.mean()).sum())
    further = _FURTHER_SAMPLES if all(run.is_count for run in runs) else 0
    return samples, (squares + further) / (samples - 1) / samples


def half_width_of_samples(variance: float, samples: int, confidence: float = CONFIDENCE) -> float:
    """What the samples of the test set add to the half-width of a difference's interval."""
    return float(stdtrit(samples - 1, (1 + confidence) / 2)) * math.sqrt(variance)


def _mean_by_sample(runs: Collection[FinalTest]) -> NDArray[np.float64] | None:
    """The score of each sample, mean over runs; None if one did not record it."""
    total: NDArray[np.float64] | None = None
    for run in runs:
        if (scores := run.by_sample) is None:
            return None
        total = scores.astype(np.float64) + (0 if total is None else total)
    return None if total is None else total / len(runs)
