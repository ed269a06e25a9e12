"""Intervals against scipy, hand calculations and known data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.results.final_test import FinalTest
from reports.statistics.comparison import welch_difference, welch_ratio
from reports.statistics.energy_kind import standing_of
from reports.statistics.score_difference import score_difference
from reports.statistics.statistics import (
    CONFIDENCE,
    Interval,
    energy_interval,
    non_inferiority,
    paired_ratio,
    share_interval,
    t_interval,
)

SHARES, OTHERS = [0.7, 0.72, 0.76], [0.6, 0.65, 0.61]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval:
    """Over the seeds of both, where the scores of samples were not recorded."""
    arms = ({seed: FinalTest(each) for seed, each in arm.items()} for arm in (values, baseline))
    return score_difference(*arms).interval(confidence)


def test_t_interval_agrees_with_scipy() -> None:
    values = [98.1, 98.9, 98.4, 99.2, 98.6]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.n == 5


@pytest.mark.parametrize(
    "found",
    [
        lambda sure: t_interval(SHARES, sure),
        lambda sure: share_interval(SHARES, sure),
        lambda sure: energy_interval(SHARES, sure),
        lambda sure: paired_difference(dict(enumerate(SHARES)), dict(enumerate(OTHERS)), sure),
        lambda sure: paired_ratio(dict(enumerate(SHARES)), dict(enumerate(OTHERS)), sure),
        lambda sure: paired_ratio(dict(enumerate(SHARES)), dict(enumerate(OTHERS)), sure).scaled(2),
        lambda sure: welch_difference(SHARES, OTHERS, sure),
        lambda sure: welch_difference(SHARES, OTHERS[:1], sure),
        lambda sure: welch_difference(SHARES, [], sure),
        lambda sure: welch_ratio(SHARES, OTHERS, sure),
    ],
)
def test_an_interval_says_how_sure_it_is(found: Callable[[float], Interval]) -> None:
    loose, strict = found(0.9), found(0.99)
    assert (loose.confidence, strict.confidence) == (0.9, 0.99)
    if loose.bounded:
        assert strict.low < loose.low < loose.mean < loose.high < strict.high


def test_ratios_that_differ_beyond_all_measure_have_an_interval() -> None:
    found = paired_ratio({0: 1e-150, 1: 1e150}, {0: 1.0, 1: 1.0})
    assert found.mean == pytest.approx(1)
    assert 0 <= found.low < 1e-250
    assert 1e250 < found.high < math.inf


def test_t_interval_by_hand() -> None:
    # mean 2, s = 1, t(2) = 4.302653 for 95 %: half width 4.302653 / √3.
    interval = t_interval([1, 2, 3])
    assert interval.mean == 2
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_student_1908_sleep_data() -> None:
    """Student's own paired example: mean gain 1.58 h, s = 1.23, n = 10."""
    first = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
    second = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
    gain = paired_difference(second, first)
    assert gain.mean == pytest.approx(1.58)
    assert (gain.low, gain.high) == pytest.approx((0.7001, 2.4599), abs=1e-4)


def test_three_seeds_are_covered_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(3)
    intervals = [t_interval(rng.normal(0, 1, 3)) for _ in range(2000)]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_pairs_are_covered_at_the_nominal_rate(seeds: int) -> None:
    """A seed moves both arms; differences are normal and ratios log-normal around the truth."""
    rng = np.random.default_rng(seeds)
    points, ratios = [], []
    for _ in range(2000):
        of_seed = rng.normal(0, 1, seeds)
        base = dict(enumerate(0.9 + 0.01 * of_seed))
        arm = {seed: base[seed] - 0.004 + rng.normal(0, 0.002) for seed in base}
        found = paired_difference(arm, base)
        points.append(found.low <= -0.004 <= found.high)
        base_j = dict(enumerate(100 * np.exp(0.2 * of_seed)))
        arm_j = {seed: base_j[seed] * 0.6 * math.exp(rng.normal(0, 0.05)) for seed in base_j}
        ratio = paired_ratio(arm_j, base_j)
        ratios.append(ratio.low <= 0.6 <= ratio.high)
    assert np.mean(points) == pytest.approx(0.95, abs=0.015)
    assert np.mean(ratios) == pytest.approx(0.95, abs=0.015)


def test_an_arm_exactly_at_the_margin_is_called_non_inferior_once_in_forty() -> None:
    rng = np.random.default_rng(7)
    verdicts = [non_inferiority(t_interval(rng.normal(-0.5, 0.2, 3)), 0.5) for _ in range(4000)]
    assert np.mean([v == "non-inferior" for v in verdicts]) == pytest.approx(0.025, abs=0.0075)
    assert np.mean([v == "worse" for v in verdicts]) == pytest.approx(0.025, abs=0.0075)


def test_a_share_by_hand() -> None:
    # Mean 0.9, s = 0.1, t(2) = 4.302653; the slope of the logit there is 1 / (0.9 · 0.1).
    half = 4.302653 * 0.1 / math.sqrt(3) / 0.09
    found = share_interval([0.8, 0.9, 1.0])
    assert found.mean == pytest.approx(0.9)
    odds = math.log(9)
    ends = [1 / (1 + math.exp(-(odds + sign * half))) for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-6)


def test_an_energy_by_hand() -> None:
    # Mean 2, s = 1.
    factor = math.exp(4.302653 / math.sqrt(3) / 2)
    found = energy_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 / factor, 2 * factor))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_shares_stay_between_0_and_1_and_energies_above_0(n: int) -> None:
    """Whatever was measured, with the mean inside; and near the ends not worse covered than t."""
    rng = np.random.default_rng(n)
    shares, energies = [], []
    for _ in range(2000):
        accuracy = np.clip(rng.normal(0.985, 0.006, n), 0, 1)
        found = share_interval(accuracy)
        assert 0 <= found.low <= found.mean <= found.high <= 1
        shares.append(found.low <= 0.985 <= found.high)
        energy_j = np.exp(rng.normal(-0.02, 0.2, n))
        found = energy_interval(energy_j)
        assert 0 < found.low <= found.mean <= found.high < math.inf
        energies.append(found.low <= 1 <= found.high)
    assert np.mean(shares) == pytest.approx(0.95, abs=0.02)
    assert np.mean(energies) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("make", [share_interval, energy_interval])
@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_what_has_no_spread_or_no_second_value(
    make: Callable[[list[float]], Interval], value: float
) -> None:
    assert make([value] * 3) == Interval(value, value, value, 3)
    lone = make([value, math.nan])
    assert (lone.mean, lone.n, lone.bounded) == (value, 1, False)
    assert math.isnan(lone.low)
    assert make([]).n == 0


def test_exactly_0_and_1_have_an_interval_with_others() -> None:
    perfect = share_interval([1.0, 1.0, 0.99])
    assert 0.75 < perfect.low < perfect.mean < perfect.high < 1
    none = share_interval([0.0, 0.0, 0.01])
    assert (1 - none.high, 1 - none.low) == pytest.approx((perfect.low, perfect.high))
    idle = energy_interval([0.0, 0.0, 3.0])
    assert 0 < idle.low < 1 < idle.high < math.inf


def test_a_percentage_is_no_share() -> None:
    with pytest.raises(ValueError, match="no share of 1"):
        share_interval([98.0, 99.0])


@pytest.mark.parametrize("values", [[5.0], [5.0, math.nan]])
def test_one_value_has_no_interval(values: list[float]) -> None:
    interval = t_interval(values)
    assert (interval.mean, interval.n, interval.bounded) == (5.0, 1, False)
    assert math.isnan(interval.low)
    assert math.isnan(interval.half_width)


def test_no_value_has_no_mean() -> None:
    interval = t_interval([math.nan])
    assert interval.n == 0
    assert math.isnan(interval.mean)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert t_interval([0.98] * 3) == Interval(0.98, 0.98, 0.98, 3)


def test_ratio_is_geometric_and_pairs_by_seed() -> None:
    ratio = paired_ratio({0: 50.0, 1: 200.0, 7: 1.0}, {1: 100.0, 0: 100.0, 8: 1.0})
    assert ratio.mean == pytest.approx(1.0)
    assert ratio.n == 2
    assert ratio.low * ratio.high == pytest.approx(1.0)


def test_ratio_turned_round_is_its_reciprocal() -> None:
    ours, theirs = {0: 61.0, 1: 57.0, 2: 60.0}, {0: 103.0, 1: 99.0, 2: 98.0}
    there, back = paired_ratio(ours, theirs), paired_ratio(theirs, ours)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))


def test_ratio_leaves_out_what_has_no_logarithm() -> None:
    ratio = paired_ratio({0: 0.0, 1: 50.0, 2: math.nan}, {0: 100.0, 1: 100.0, 2: 100.0})
    assert ratio.mean == pytest.approx(0.5)
    assert ratio.n == 1


def test_pairing_removes_what_a_seed_does_to_both() -> None:
    base = {0: 0.90, 1: 0.95, 2: 0.99}
    gain = paired_difference({seed: value + 0.01 for seed, value in base.items()}, base)
    assert (gain.low, gain.high) == pytest.approx((0.01, 0.01))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.4, 0.3, "non-inferior"),
        (-0.5, 0.3, "inconclusive"),
        (-0.9, -0.6, "worse"),
        (math.nan, math.nan, "inconclusive"),
    ],
)
def test_non_inferiority(low: float, high: float, verdict: str) -> None:
    assert non_inferiority(Interval(0.0, low, high, 3), 0.5) == verdict


def test_an_interval_without_width_shows_nothing() -> None:
    """Two seeds that differ by the same one sample are chance, not certainty."""
    differing = paired_difference({0: 0.99, 1: 0.98}, {0: 0.993, 1: 0.983})
    assert differing.half_width == pytest.approx(0, abs=1e-12)
    assert non_inferiority(differing, 0.005) == "inconclusive"


def test_several_sensors_that_measure_are_a_measurement() -> None:
    """A GPU's counter with RAPL beside it is no estimate."""
    runs = pd.DataFrame({"energy_j": [1.0, 2.0], "energy_source": ["counter+sampled", "counter"]})
    assert standing_of(runs).measured
    runs["energy_source"] = ["counter+estimated", "counter"]
    assert standing_of(runs).adjective == "partly estimated"
    runs["energy_source"] = ["of next year", None]
    assert standing_of(runs).adjective == "estimated"
