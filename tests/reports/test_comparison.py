"""How much two result sets differ: intervals against scipy and by hand, and which arm is which."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.statistics.comparison import compare, match, welch_difference, welch_ratio
from reports.tables.comparison import as_object
from reports.text.comparison import intervals, notes, remarks
from tests.reports.compared import (
    AFTER,
    BEFORE,
    compared,
    labelled,
    result_set,
    spec,
)


def test_paired_energy_is_the_t_interval_of_logs() -> None:
    change = compared(BEFORE, AFTER).arms[0].changes["energy"]
    expected = stats.ttest_rel(np.log(AFTER), np.log(BEFORE)).confidence_interval(0.95)
    assert change.found is not None
    assert change.way == "paired"
    assert (change.n_a, change.n_b) == (3, 3)
    assert (change.found.low, change.found.high) == pytest.approx(np.exp(expected))
    assert change.found.mean == pytest.approx((1.08 * 118 / 110 * 103 / 95) ** (1 / 3))
    assert (change.mean_a, change.mean_b) == pytest.approx((305 / 3, 329 / 3))


def test_paired_accuracy_is_in_points() -> None:
    ours, theirs = [0.98, 0.97, 0.99], [0.975, 0.972, 0.981]
    first = result_set("A", {"dense": BEFORE}, {"dense": ours})
    second = result_set("B", {"dense": BEFORE}, {"dense": theirs})
    found = compare(first, second).arms[0].changes["score"].found
    expected = stats.ttest_rel(theirs, ours).confidence_interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx(-0.4)
    assert (found.low, found.high) == pytest.approx((expected.low * 100, expected.high * 100))


@pytest.mark.parametrize("first_seed", [2, 3], ids=["one seed shared", "none shared"])
def test_unshared_seeds_take_welchs_interval(first_seed: int) -> None:
    change = compared(BEFORE, [*AFTER, 111.0], first_seed=first_seed).arms[0].changes["energy"]
    ours, theirs = np.log(BEFORE), np.log([*AFTER, 111.0])
    expected = stats.ttest_ind(theirs, ours, equal_var=False).confidence_interval(0.95)
    assert change.found is not None
    assert change.way == "Welch"
    assert (change.n_a, change.n_b) == (3, 4)
    assert (change.found.low, change.found.high) == pytest.approx(np.exp(expected))
    assert change.found.mean == pytest.approx(np.exp(theirs.mean() - ours.mean()))


def test_two_shared_seeds_are_paired_and_the_rest_left_out() -> None:
    change = compared(BEFORE, AFTER, first_seed=1).arms[0].changes["time"]
    assert change.found is not None
    assert change.way == "paired"
    assert change.n_a == change.n_b == 2
    assert change.found.mean == pytest.approx(math.sqrt(108 / 110 * 118 / 95))


def test_welch_by_hand() -> None:
    # Means 2 and 5, squared errors 1/3 and 4/3: df = (5/3)² / ((1/9 + 16/9) / 2) = 2.941.
    found = welch_difference([3, 5, 7], [1, 2, 3])
    half = stats.t.ppf(0.975, (5 / 3) ** 2 / ((1 / 9 + 16 / 9) / 2)) * math.sqrt(5 / 3)
    assert (found.mean, found.n) == (3, 3)
    assert found.half_width == pytest.approx(half)


def test_welch_at_the_edges() -> None:
    one = welch_difference([4.0], [1.0, 3.0])
    assert (one.mean, one.n, one.bounded) == (2.0, 1, False)
    equal = welch_difference([4.0, 4.0], [1.0, 1.0, 1.0])
    assert (equal.mean, equal.low, equal.high) == (3.0, 3.0, 3.0)
    assert welch_difference([math.nan], [1.0]).n == 0
    assert welch_ratio([0.0, 4.0, math.nan], [2.0]).mean == pytest.approx(2.0)
    tiny = welch_difference([1e-200, 2e-200], [1e-200, 3e-200])
    assert math.isfinite(tiny.half_width)


def test_one_run_each_has_no_interval() -> None:
    comparison = compared([100.0], [120.0])
    change = comparison.arms[0].changes["energy"]
    assert change.found is not None
    assert change.found.mean == pytest.approx(1.2)
    assert not change.found.bounded
    record = as_object(comparison, [])["arms"][0]["energy"]
    assert (record["low"], record["high"], record["interval"]) == (None, None, None)


def test_an_unknown_energy_and_a_failed_seed_are_left_out() -> None:
    second = {"failed": [("dense", 0)]}
    comparison = compared([100.0, 110.0, math.nan, 90.0], [1.0, 121.0, 105.0, 99.0], **second)
    changes = comparison.arms[0].changes
    assert changes["energy"].n_a == 2
    assert changes["energy"].found is not None
    assert changes["energy"].found.mean == pytest.approx(1.1)
    assert changes["score"].n_a == 3
    record = as_object(comparison, [])["arms"][0]
    assert (record["started_b"], record["finished_b"]) == (4, 3)


def test_the_way_is_reported_and_exceptions_named() -> None:
    first = result_set("A", {"dense": BEFORE, "rigl": BEFORE, "snip": [1.0]})
    second = result_set(
        "B", {"dense": AFTER, "rigl": [*AFTER[:1], math.nan, math.nan], "snip": [1.0]}
    )
    shown = intervals(compare(first, second))
    assert shown == (
        "Intervals: 95 % Student-t, paired by seed (accuracy, energy, time and CO2e of dense; "
        "accuracy and time of rigl); none, where one side has a single run (energy and CO2e of "
        "rigl; accuracy, energy, time and CO2e of snip)."
    )
    assert intervals(compared(BEFORE, AFTER)).endswith("Student-t, paired by seed.")


def test_sizes_are_ratios_of_means() -> None:
    arm = compared(BEFORE, AFTER, runs={"parameters": 500.0}).arms[0]
    assert (arm.parameters, arm.macs) == (0.5, 1.0)


def test_an_arm_is_found_whatever_its_label() -> None:
    first = labelled(spec("rigl", {"density": 0.5}), spec("dense"))
    second = labelled(spec("rigl", {"density": 0.3}), spec("rigl", {"density": 0.5}))
    pairs = match(first, second)
    assert [(p.first, p.second, p.label) for p in pairs] == [
        ("rigl", "rigl density=0.5", "rigl density=0.5")
    ]


def test_a_changed_hyperparameter_is_compared_and_named() -> None:
    first = result_set("A", {"rigl": BEFORE}, specs=labelled(spec("rigl", {"density": 0.5})))
    second = result_set("B", {"rigl": AFTER}, specs=labelled(spec("rigl", {"density": 0.3})))
    comparison = compare(first, second)
    assert "rigl: density differs (0.5 in A; 0.3 in B)" in notes(comparison)[0]
    assert comparison.arms[0].changes["energy"].found is not None


def test_a_sweep_is_not_matched_across_its_values() -> None:
    first = labelled(*(spec("rigl", {"density": d}) for d in (0.3, 0.5)))
    second = labelled(*(spec("rigl", {"density": d}) for d in (0.5, 0.7)))
    assert [p.label for p in match(first, second)] == ["rigl density=0.5"]


def test_variants_keep_apart() -> None:
    variants = [spec(variant="lean", precision="bf16"), spec(variant="full")]
    pairs = match(labelled(*variants), labelled(*reversed(variants)))
    assert [(p.first, p.second) for p in pairs] == [
        ("dense variant=lean", "dense variant=lean"),
        ("dense variant=full", "dense variant=full"),
    ]


def test_an_older_set_may_lack_a_hyperparameter() -> None:
    older, newer = spec("rigl", {"density": 0.5}), spec("rigl", {"density": 0.5, "regrow": "x"})
    assert len(match(labelled(older), labelled(newer))) == 1
    other = spec("rigl", {"density": 0.5, "regrow": "y"})
    assert match(labelled(older), labelled(newer, other)) == []


def test_arms_in_one_only_are_listed() -> None:
    first = result_set("A", {"dense": BEFORE, "snip": BEFORE})
    second = result_set("B", {"dense": BEFORE, "rigl": BEFORE})
    comparison = compare(first, second)
    assert (comparison.only_first, comparison.only_second) == (("snip",), ("rigl",))
    assert notes(comparison)[-2:] == ["only in A: snip", "only in B: rigl"]
    nothing = compare(result_set("A", {"snip": BEFORE}), second)
    assert remarks(nothing)[0] == "No method is in both."
