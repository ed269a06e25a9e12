"""Difference in test accuracy between two arms, with its interval.

Two things are drawn by chance: the seeds, and the images of the test set, which all seeds share.
More seeds make the first matter less, never the second. Runs are paired by seed and by image: d is
whether one arm is right, 0 or 1, less whether the other is. With n seeds and m images, the squared
standard error of the mean of d has a part of the seeds, the variance of the n means over images /
n, and a part of the images, the variance of the m means over seeds / m; what belongs to neither
alone is in both, so that their sum errs to the safe side (Clark 1973, J. Verbal Learning and Verbal
Behavior 12:4, for crossed random factors). The interval's half-width is the root of the sum of the
squares of both parts, each times its own t: its coverage is at least nominal, whatever the parts'
shares (Banerjee 1960, Sankhyā 22:3/4).
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
    from collections.abc import Mapping, Sequence

    from harness.results.final_test import FinalTest

_FURTHER_IMAGES = 4
"""As if every seed won and lost this many further images each: where hardly any are,
their count is a poor estimate (Agresti & Coull 1998, The American Statistician 52:2)."""


@dataclass(frozen=True)
class Difference:
    """Test accuracy of one arm less another's, over pairs of runs with the same seed.

    Attributes:
        mean: A share of 1.
        seeds: How many pairs.
        images: Size of the test set; 0 if it was not recorded.
        seed_variance: Squared standard error of the mean, of the seeds; NaN for one pair.
        image_variance: The same of the images; None if it was not recorded which were right.
    """

    mean: float
    seeds: int
    images: int
    seed_variance: float
    image_variance: float | None

    @property
    def counts_images(self) -> bool:
        """Whether the images of the test set count as drawn by chance, too."""
        return self.image_variance is not None

    @cached_property
    def seed_error(self) -> float:
        """Standard error of the mean, of the seeds, at the least that one image could change.

        Seeds that differ equally do so by chance: they show no more than if one of them had
        lost a further image.
        """
        least = 1 / (self.seeds * self.images) if self.images else 0.0
        return max(math.sqrt(self.seed_variance), least)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The mean with its interval, in shares of 1; unbounded for fewer than two pairs."""
        if self.seeds < 2:
            return Interval(self.mean, math.nan, math.nan, self.seeds, confidence)
        upper = (1 + confidence) / 2
        half = float(stdtrit(self.seeds - 1, upper)) * self.seed_error
        if self.image_variance is not None:
            error = math.sqrt(self.image_variance)
            half = math.hypot(half, float(stdtrit(self.images - 1, upper)) * error)
        return Interval(self.mean, self.mean - half, self.mean + half, self.seeds, confidence)


def accuracy_difference(
    ours: Mapping[int, FinalTest], theirs: Mapping[int, FinalTest]
) -> Difference:
    """The difference of two arms' test accuracies, by seed, over the seeds that both have."""
    shared = sorted(ours.keys() & theirs.keys())
    return difference_of_pairs([ours[seed] for seed in shared], [theirs[seed] for seed in shared])


def difference_of_pairs(ours: Sequence[FinalTest], theirs: Sequence[FinalTest]) -> Difference:
    """The difference of two arms' test accuracies, one pair of runs after the other."""
    pairs = [
        (one, other)
        for one, other in zip(ours, theirs, strict=True)
        if math.isfinite(one.accuracy) and math.isfinite(other.accuracy)
    ]
    n = len(pairs)
    if not n:
        return Difference(math.nan, 0, 0, math.nan, None)
    points = [one.accuracy - other.accuracy for one, other in pairs]
    mean = math.fsum(points) / n
    squares = math.fsum((each - mean) ** 2 for each in points)
    sizes = {run.samples for pair in pairs for run in pair}
    images = sizes.pop() if len(sizes) == 1 else 0
    return Difference(
        mean=mean,
        seeds=n,
        images=images,
        seed_variance=squares / (n - 1) / n if n > 1 else math.nan,
        image_variance=_image_variance(pairs, images) if images > 1 else None,
    )


def _image_variance(pairs: Sequence[tuple[FinalTest, FinalTest]], images: int) -> float | None:
    total = np.zeros(images, dtype=np.int32)
    for one, other in pairs:
        if one.bits is None or other.bits is None:
            return None
        total += _right(one.bits, images)
        total -= _right(other.bits, images)
    n = len(pairs)
    squares = float(np.dot(total, total)) / n**2 - float(total.sum() / n) ** 2 / images
    return (squares + _FURTHER_IMAGES) / (images - 1) / images


def _right(bits: bytes, images: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=images)
