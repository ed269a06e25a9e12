"""Claims: verdicts at the edges, the bounds inclusive, and what is missing named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.settings import metric
from reports.data import AskedClaim
from reports.statistics.statistics import Interval, paired_ratio
from reports.tables.claims import claims, judge, judged_energy, judged_score
from reports.tables.formats import as_csv, as_latex, as_markdown
from reports.text.phrases import times, times_interval
from reports.text.scores import Shown
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.data import StudyResults
    from reports.tables.claims import JudgedClaim

ENERGY = {"dense": [100.0, 102.0, 98.0], "early_bird": [50.0, 52.0, 48.0]}
SHOWN = Shown(metric.ACCURACY)
ACCURACY = {"dense": [0.930, 0.932, 0.931], "early_bird": [0.933, 0.934, 0.935]}


def study(
    energy: Mapping[str, Sequence[float]] = ENERGY,
    accuracy: Mapping[str, Sequence[float]] = ACCURACY,
    source: str = "counter",
    asked: Sequence[AskedClaim] = (),
) -> StudyResults:
    """Two arms with these energies in J and accuracies, one value a seed."""
    results = make(list(energy), seeds=len(next(iter(energy.values()))), source=source)
    runs = results.runs.copy()
    for arm in energy:
        own = runs["arm"] == arm
        runs.loc[own, "energy_j"] = list(energy[arm])
        runs.loc[own, "test_score"] = list(accuracy[arm])
    return replace(results, runs=runs, claims=tuple(asked))


def claim(
    energy: float | None = None,
    points: float | None = None,
    arm: str | None = "early_bird",
    against: str | None = "dense",
    text: str = "cheaper",
) -> AskedClaim:
    return AskedClaim(text, "somebody, 2020", arm, against, energy, points)


def judged(results: StudyResults, asked: AskedClaim) -> JudgedClaim:
    [found] = judge(replace(results, claims=(asked,)))
    return found


@pytest.mark.parametrize(
    ("energy", "points", "verdict", "why"),
    [
        (0.6, 0, "supported", ""),
        (0.6, None, "supported", ""),
        (None, 0, "supported", ""),
        (0.4, 0, "not supported", "energy: more than claimed"),
        (0.6, 1, "not supported", "accuracy: less than claimed"),
        (0.4, 1, "not supported", "energy: more than claimed; accuracy: less than claimed"),
        (0.5, 0, "inconclusive", "energy: … includes the claimed 0.50, so undecided"),
        (0.6, 0.3, "inconclusive", "accuracy: … includes the claimed +0.30, so undecided"),
        # One part that fails decides, whatever is open.
        (0.4, 0.3, "not supported", "energy: more than claimed"),
        (0.5, 1, "not supported", "accuracy: less than claimed"),
    ],
)
def test_a_claim_is_as_true_as_the_least_true_of_its_parts(
    energy: float | None, points: float | None, verdict: str, why: str
) -> None:
    found = judged(study(), claim(energy, points))
    assert (found.verdict, found.by) == (verdict, "")
    first, _, last = why.partition("… ")
    assert found.why.startswith(first)
    assert found.why.endswith(last)
    assert bool(found.why) == bool(why)


def test_what_was_measured_is_paired_by_seed() -> None:
    found = judged(study(), claim(0.6, 0))
    expected = paired_ratio(dict(enumerate(ENERGY["early_bird"])), dict(enumerate(ENERGY["dense"])))
    assert found.energy == expected
    # Differences of 0.3, 0.2 and 0.4 points: mean 0.3, half width 4.302653 · 0.1 / √3.
    assert found.difference.mean == pytest.approx(0.3)
    assert found.difference.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_bounds_are_inclusive(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = Interval((low + high) / 2, low, high, 3)
    if not found.half_width > 1e-9:
        assert judged_energy(found, 10)[0] == judged_score(found, 0, SHOWN)[0] == "inconclusive"
        return
    assert judged_energy(found, high)[0] == "supported"
    assert judged_energy(found, math.nextafter(high, 0))[0] == "inconclusive"
    assert judged_energy(found, low)[0] == "inconclusive"
    assert judged_energy(found, math.nextafter(low, 0))[0] == "not supported"
    assert judged_score(found, low, SHOWN)[0] == "supported"
    assert judged_score(found, math.nextafter(low, 11), SHOWN)[0] == "inconclusive"
    assert judged_score(found, high, SHOWN)[0] == "inconclusive"
    assert judged_score(found, math.nextafter(high, 11), SHOWN)[0] == "not supported"


def test_equal_differences_show_nothing() -> None:
    same = {"dense": [0.93] * 3, "early_bird": [0.94] * 3}
    found = judged(study(accuracy=same), claim(0.6, 0))
    assert found.verdict == "inconclusive"
    assert found.why == "accuracy: equal in every seed, which gives no interval"
    copied = {"dense": [100.0, 110.0], "early_bird": [50.0, 55.0]}
    two = {"dense": [0.93, 0.94], "early_bird": [0.93, 0.95]}
    assert judged(study(copied, two), claim(0.6)).why.startswith("energy: equal in every seed")


def test_one_seed_is_inconclusive_and_says_so() -> None:
    one = {"dense": [100.0], "early_bird": [50.0]}
    found = judged(study(one, {"dense": [0.9], "early_bird": [0.95]}), claim(0.6, 0))
    message = "one pair of seeds gives no interval"
    assert (found.verdict, found.why) == ("inconclusive", f"energy: {message}; accuracy: {message}")
    assert found.energy.mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (claim(0.6, arm=None), "the method was not run, or is several of the study's"),
        (
            claim(0.6, against=None),
            "the method to compare with was not run, or is several of the study's",
        ),
        (claim(0.6, arm="progressive"), "no run of progressive has finished"),
        (claim(0.6, against="lottery_ticket"), "no seed has finished in both"),
    ],
)
def test_what_is_missing_is_named(asked: AskedClaim, why: str) -> None:
    lost = [("progressive", seed) for seed in range(3)]
    lost += [("lottery_ticket", 0), ("early_bird", 1), ("early_bird", 2)]
    found = judged(make(failed=lost), asked)
    assert (found.verdict, found.why) == ("inconclusive", why)


def test_unknown_energy_leaves_the_accuracy_judged() -> None:
    unknown = {**ENERGY, "early_bird": [math.nan] * 3}
    assert judged(study(unknown), claim(0.6, 0)).why == "energy: no seed has a known value in both"
    assert judged(study(unknown), claim(None, 0)).verdict == "supported"
    one_lost = {**ENERGY, "early_bird": [math.nan, 52.0, 48.0]}
    table = claims(study(one_lost, asked=[claim(0.6, 0)]))
    assert table is not None
    assert (table.rows[0][4].text, table.rows[0][4].note) == ("2", "energy 2, accuracy 3")


def test_estimated_energy_is_named_where_it_decides() -> None:
    results = study(source="estimated")
    assert judged(results, claim(0.6, 0)).by == "estimated"
    assert judged(results, claim(0.4, 0)).by == "estimated"
    assert judged(results, claim(None, 0)).by == ""
    assert judged(results, claim(0.6, 1)).by == ""


def test_simulated_energy_supports_nothing() -> None:
    found = judged(study(source="simulated"), claim(0.6, 0))
    assert (found.verdict, found.by) == ("inconclusive", "simulated")
    assert found.why == "energy: simulated by a stand-in device, which shows nothing"
    assert judged(study(source="simulated"), claim(None, 0)).verdict == "supported"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("energy_scope", "cpu+gpu"),
        ("energy_device", "NVIDIA A100"),
        ("energy_source", "estimated"),
    ],
)
def test_joules_of_different_kinds_are_not_divided(column: str, value: str) -> None:
    results = study()
    runs = results.runs.copy()
    runs.loc[(runs["arm"] == "dense") & (runs["seed"] == 1), column] = value
    found = judged(replace(results, runs=runs), claim(0.6, 0))
    assert found.verdict == "inconclusive"
    assert "of different kinds" in found.why
    # Pairs are of one kind if each seed is, whatever the seeds are among themselves.
    runs.loc[runs["seed"] == 1, column] = value
    assert judged(replace(results, runs=runs), claim(0.6, 0)).verdict == "supported"


def test_counter_and_sampled_power_are_both_measured() -> None:
    results = study()
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "dense", "energy_source"] = "sampled"
    assert judged(replace(results, runs=runs), claim(0.6, 0)).verdict == "supported"


@pytest.mark.parametrize(
    ("ratio", "text", "within"),
    [
        (Interval(0.746, 0.66, 0.83, 3), "1.34× less", "1.20 … 1.52"),
        (Interval(1.2, 1.1, 1.3, 3), "1.20× more", "1.10 … 1.30"),
        (Interval(0.95, 0.8, 1.1, 3), "1.05× less", "0.909 … 1.25"),
        (Interval(1 / 10.7, math.nan, math.nan, 1), "10.7× less", ""),
        (Interval(1.0, 0.9, 1.1, 3), "equal", "0.900 … 1.10"),
        (Interval(1.2e9, 0.0, math.inf, 2), "1e+09× more", "0e+00 … –"),
        (Interval(math.nan, math.nan, math.nan, 0), "–", ""),
    ],
)
def test_a_ratio_is_worded_as_people_word_it(ratio: Interval, text: str, within: str) -> None:
    assert (times(ratio), times_interval(ratio)) == (text, within)


def test_the_table_says_what_was_tested_and_what_came_out() -> None:
    table = claims(study(source="estimated", asked=[claim(0.6, -0.5), claim(None, 1, arm=None)]))
    assert table is not None
    header = "Claim, Source, Estimated energy, Measured accuracy, points, n, Verdict"
    assert ", ".join(table.header) == header
    first, second = table.rows
    tested = "early_bird against dense: energy at most 0.600× (1.67× less), "
    assert first[0].note == tested + "accuracy at least −0.50 points"
    assert first[2].text == "2.00× less"
    assert first[2].value == pytest.approx(0.5, abs=0.001)
    assert first[5].text == "supported, by estimated energy"
    assert [cell.text for cell in second[2:]] == ["–", "–", "0", "inconclusive"]
    assert all(len(row) == len(table.header) for row in table.rows)


def test_without_claims_there_is_no_table() -> None:
    assert claims(study()) is None


def test_a_claim_with_markup_in_it_stays_text() -> None:
    table = claims(study(asked=[claim(0.6, text="<b>10.7×</b> $less$ | a_b")]))
    assert table is not None
    assert table.rows[0][0].text == "<b>10.7×</b> $less$ | a_b"
    assert r"\<b\>10.7×\</b\> \$less\$ \| a\_b" in as_markdown(table)
    assert r"\$less\$" in as_latex(table)
    assert "<b>10.7×</b> $less$ | a_b" in as_csv(table)
