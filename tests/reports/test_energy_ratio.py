"""What sensors add to ratios of energies, the same within a study and between two."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from harness.results.schema import ATTEMPTS, names
from reports.data import AskedClaim, Stage
from reports.statistics.comparison import compare
from reports.statistics.decomposition import decompose
from reports.statistics.energy_ratio import SensorDoubt, doubt_in, energy_ratio, widened
from reports.statistics.frontier import frontiers
from reports.statistics.statistics import Interval
from reports.statistics.summary import summarise
from reports.tables.claims import judge
from tests.reports.compared import result_set
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from reports.data import StudyResults

ARMS = ["dense", "early_bird"]
TWO = math.hypot(0.05, 0.05)
"""What two boards of ±5 % add to a ratio."""


def measured(gpus: str = "AAABBB", **parts: float) -> StudyResults:
    """Three seeds of each of two arms on these GPUs; parts of the uncertainty as shares."""
    results = make(ARMS, source="counter")
    results.runs["gpus"] = [f"GPU-{each}" for each in gpus]
    for column, share in ({"gain_j": 0.05} | parts).items():
        results.runs[column] = share * results.runs["energy_j"]
    return results


def doubt(results: StudyResults) -> SensorDoubt:
    return doubt_in(results, "early_bird", "dense", range(3))


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ("AAAAAA", 0.0),
        ("AAABBB", TWO),
        ("ABABAB", TWO / 3),  # a third of the runs changed places
        ("ABCCAB", 0.0),
    ],
)
def test_boards_add_their_gain_as_far_as_arms_were_not_on_the_same(gpus, expected) -> None:
    results = measured(gpus)
    assert doubt(results).gain == pytest.approx(expected)
    same = energy_ratio(measured("AAAAAA"), "early_bird", "dense")
    found = energy_ratio(results, "early_bird", "dense")
    scatter, both = (math.log(each.high / each.mean) for each in (same, found))
    assert both == pytest.approx(math.hypot(scatter, math.log1p(expected)))
    assert found.low == pytest.approx(found.mean**2 / found.high)


def test_a_run_that_went_on_at_another_machine_was_on_other_boards() -> None:
    results = measured("AAAAAA")
    moved = {"arm": "dense", "seed": 0, "host": "node2"}
    object.__setattr__(results, "attempts", pd.DataFrame([moved], columns=names(ATTEMPTS)))
    assert doubt(results).gain == pytest.approx(TWO / 3)


@pytest.mark.parametrize("part", ["border_j", "gap_j", "aliasing_j"])
def test_borders_gaps_and_aliasing_enter(part: str) -> None:
    share = 0.09
    each = share / math.sqrt(3) if part == "border_j" else share  # borders differ by run
    found = doubt(measured("AAAAAA", **{part: share}))
    assert found.blur == pytest.approx(math.hypot(each, each))


def test_of_the_beginning_of_a_run_borders_are_a_larger_share() -> None:
    results = measured("AAAAAA", border_j=0.01)
    begun = [
        {seed: joules / 10 for seed, joules in results.by_seed(arm, "energy_j").items()}
        for arm in reversed(ARMS)
    ]
    whole, part = doubt(results), doubt_in(results, *reversed(ARMS), range(3), *begun)
    assert part.blur == pytest.approx(10 * whole.blur)


def test_a_study_and_a_comparison_of_the_same_runs_agree() -> None:
    first, second = [100.0, 110.0, 95.0], [70.0, 76.0, 68.0]
    parts = {"gap_j": 3.0, "border_j": 2.0, "aliasing_j": 1.0}
    sides = [
        result_set(side, {"dense": energies_j}, runs={"gpus": f"GPU-{side}", **parts})
        for side, energies_j in (("A", first), ("B", second))
    ]
    change = compare(*sides).arms[0].changes["energy"]
    results = measured()
    results.runs["energy_j"] = first + second
    for column, part_j in parts.items():
        results.runs[column] = part_j
    results.runs["gain_j"] = 0.05 * results.runs["energy_j"]
    assert doubt(results).gain == pytest.approx(change.doubt.gain)
    assert doubt(results).blur == pytest.approx(change.doubt.blur)
    ratio = energy_ratio(results, "early_bird", "dense")
    assert [(end - 1) * 100 for end in (ratio.low, ratio.high)] == pytest.approx(change.bounds)


def test_a_saving_within_the_gain_of_two_boards_is_not_shown() -> None:
    """In the headline, in a claim, in a decomposition and at matched accuracy."""
    claim = AskedClaim("less", "somebody, 2020", "early_bird", "dense", 0.99, None)

    def found(gpus: str) -> tuple[Interval, ...]:
        results = measured(gpus)
        runs = results.runs
        at = runs["arm"] == "early_bird"
        runs.loc[at, "energy_j"] = 0.95 * runs.loc[~at, "energy_j"].to_numpy() * [1, 1.002, 0.998]
        runs["test_score"] = [0.98, 0.981, 0.979] * 2
        runs["gain_j"] = 0.05 * runs["energy_j"]
        object.__setattr__(results, "claims", (claim,))
        stages = (Stage("", "dense"), Stage("ticket", "early_bird"))
        object.__setattr__(results, "decomposition", stages)
        [judged] = judge(results)
        assert judged.verdict == ("supported" if gpus == "AAAAAA" else "inconclusive")
        split = decompose(results)
        [bird] = [each for each in frontiers(results) if each.name == "early_bird"]
        ratios = (summarise(results).arm("early_bird").ratio, judged.energy, split.total)
        return (*ratios, split.measured[1].step, split.measured[1].so_far, bird.energy.value)

    for alone, other in zip(found("AAAAAA"), found("AAABBB"), strict=True):
        assert other.mean == pytest.approx(alone.mean)
        assert alone.high < 1 < other.high


def test_an_unknown_gain_shows_nothing_unless_it_cancels() -> None:
    results = measured()
    results.runs["gain_j"] = math.nan
    found = energy_ratio(results, "early_bird", "dense")
    assert not found.bounded
    assert found.n == 3
    results = replace(results, runs=results.runs.assign(gpus="GPU-A"))
    assert energy_ratio(results, "early_bird", "dense").bounded


def test_energies_equal_in_every_seed_show_nothing_for_all_that() -> None:
    results = measured()
    results.runs["energy_j"] = 100.0
    found = energy_ratio(results, "early_bird", "dense")
    assert (found.low, found.high) == (1.0, 1.0)


def test_a_width_that_is_not_known_is_none() -> None:
    assert not widened(Interval(0.5, 0.4, 0.6, 3), math.nan).bounded
