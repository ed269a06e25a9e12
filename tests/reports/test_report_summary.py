"""The headline table and the sentence: what is counted, and in which words."""

from __future__ import annotations

import math
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reports.data import StudyResults
from reports.statistics.statistics import Interval, non_inferiority
from reports.statistics.summary import ArmSummary, Summary, summarise
from reports.statistics.verdicts import Decision
from reports.tables.terminal import terminal_table
from reports.text.sentence import sentence
from reports.text.units import fixed, signed
from tests.reports.synthetic import PLANS, make


def challenged(
    difference: Interval, ratio: Interval, name: str = "early_bird", images: int = 10_000
) -> Summary:
    """A study of dense and one arm that is compared with it as given (difference in points)."""
    summary = summarise(make(["dense", "early_bird"]))
    dense, bird = arm(summary, "dense"), arm(summary, "early_bird")
    shares = difference.scaled(0.01)
    verdict = non_inferiority(shares, summary.margin)
    decision = Decision(verdict, shares, verdict, shares, arms=1, samples=images)
    accuracy = Interval(0.987, 0.98, 0.99, difference.n)
    changed = replace(bird, arm=name, score=accuracy, ratio=ratio, decision=decision)
    return replace(summary, arms=(dense, changed))


def arm(summary: Summary, name: str) -> ArmSummary:
    found = summary.arm(name)
    assert found is not None
    return found


def test_failed_run_is_counted_and_never_averaged() -> None:
    whole, broken = make(), make(failed=[("early_bird", 1)])
    bird = arm(summarise(broken), "early_bird")
    assert (bird.n, bird.failures, bird.count) == (2, 1, "2 of 3")
    assert bird.ratio is not None
    assert bird.ratio.n == 2
    finished = broken.by_seed("early_bird", "energy_j")
    assert bird.energy_j.mean == pytest.approx(sum(finished.values()) / 2)
    assert arm(summarise(whole), "early_bird").failures == 0


def test_shares_of_the_dense_network() -> None:
    summary = summarise(make())
    bird, ticket = arm(summary, "early_bird"), arm(summary, "lottery_ticket")
    assert (bird.parameters_left, bird.macs_left) == pytest.approx((0.31, 0.28))
    assert (ticket.macs_left, ticket.density) == pytest.approx((1.0, 0.64))


def test_baseline_is_compared_with_nothing() -> None:
    dense = arm(summarise(make()), "dense")
    assert (dense.ratio, dense.difference, dense.verdict) == (None, None, None)


def test_baseline_comes_first_and_is_found_by_method() -> None:
    results = make({"early_bird": "early_bird", "dense epochs=20": "dense"})
    summary = summarise(results)
    assert [a.arm for a in summary.arms] == ["dense epochs=20", "early_bird"]
    assert arm(summary, "early_bird").ratio is not None


def test_arms_are_sorted_by_verdict_and_then_by_energy() -> None:
    """By hand: frugal but worse comes after everything that keeps the accuracy."""
    accuracies = {"dense": 0.98, "lean": 0.9805, "wasteful": 0.9805, "broken": 0.90, "open": 0.97}
    energies = {"dense": 100.0, "lean": 60.0, "wasteful": 200.0, "broken": 10.0, "open": 20.0}
    results = make({"dense": "dense"} | {arm: arm for arm in accuracies})
    spread = np.array([-0.0004, 0.0, 0.0004])
    for arm in accuracies:
        wide = 40 if arm == "open" else 1
        rows = results.runs["arm"] == arm
        sign = 1 if arm == "dense" else -1
        results.runs.loc[rows, "test_score"] = accuracies[arm] + sign * wide * spread
        results.runs.loc[rows, "energy_j"] = energies[arm]
    summary = summarise(results)
    assert [(arm.arm, arm.verdict) for arm in summary.arms] == [
        ("lean", "non-inferior"),
        ("dense", None),
        ("wasteful", "non-inferior"),
        ("open", "inconclusive"),
        ("broken", "worse"),
    ]


def test_the_margin_is_the_studys() -> None:
    results = make(["dense", "early_bird"], spread=0.1)
    assert arm(summarise(results), "early_bird").verdict == "non-inferior"
    narrow = summarise(replace(results, margin=0.05))
    assert arm(narrow, "early_bird").verdict != "non-inferior"
    assert narrow.margin == pytest.approx(0.0005)


def test_an_arm_without_a_finished_run_comes_last() -> None:
    failed = [("progressive", seed) for seed in range(3)]
    last = summarise(make(failed=failed)).arms[-1]
    assert (last.arm, last.n, last.verdict) == ("progressive", 0, None)


def test_sentence_for_an_arm_that_keeps_the_accuracy() -> None:
    summary = challenged(Interval(-0.1, -0.32, 0.12, 3), Interval(0.58, 0.55, 0.61, 3))
    assert sentence(summary) == (
        "early_bird keeps dense's accuracy within 0.5 points: it reached 98.7 % "
        "(dense − 0.1 points, 95 % CI −0.3 … +0.1) with 0.58× (95 % CI 0.55 … 0.61) "
        "of dense's estimated energy (3 seeds). The joules of an estimate may be wrong by ±30 %: "
        "that cancels in the ratio where both methods load the machine alike, and widens it where "
        "they do not."
    )


def test_sentence_where_nothing_is_shown() -> None:
    text = sentence(challenged(Interval(-0.1, -0.9, 0.7, 3), Interval(0.58, 0.55, 0.61, 3)))
    assert text.startswith(
        "Three seeds and 10,000 test samples cannot tell whether early_bird stays within 0.5 points"
    )
    assert "98.7 % (dense − 0.1 points, 95 % CI −0.9 … +0.7)" in text
    assert "0.58× (95 % CI 0.55 … 0.61) of dense's estimated energy" in text


def test_sentence_says_so_where_the_accuracy_is_lost() -> None:
    text = sentence(challenged(Interval(-3, -4, -2, 3), Interval(0.58, 0.55, 0.61, 3)))
    assert text.startswith("early_bird is worse than dense by more than 0.5 points: it reached")


def test_sentence_never_rounds_a_bound_onto_the_margin() -> None:
    summary = challenged(Interval(-0.1, -0.46, 0.26, 3), Interval(0.58, 0.55, 0.61, 3))
    assert "95 % CI −0.46 … +0.26" in sentence(summary)


def test_sentence_claims_no_saving_that_is_not_shown() -> None:
    unsure = challenged(Interval(0, -0.2, 0.2, 3), Interval(0.9, 0.7, 1.2, 3))
    assert "may be lower or higher than dense's" in sentence(unsure)
    dearer = challenged(Interval(0, -0.2, 0.2, 3), Interval(2.9, 2.8, 3.0, 3))
    assert "no method shown to keep that accuracy needed less energy than dense" in sentence(dearer)


def test_sentence_says_worse_and_better() -> None:
    ratio = Interval(0.58, 0.55, 0.61, 3)
    worse = sentence(challenged(Interval(-3, -4, -2, 3), ratio))
    assert worse.startswith("early_bird is worse than dense by more than 0.5 points: it reached")
    better = sentence(challenged(Interval(0.4, 0.1, 0.7, 3), ratio))
    assert better.startswith("early_bird is better than dense: it reached")
    assert "worse" not in better


def test_sentence_with_several_arms_says_how_many_are_worse() -> None:
    results = make()
    runs = results.runs.copy()
    for arm, accuracies in {
        "progressive": [0.5, 0.51, 0.52],
        "lottery_ticket": [0.6, 0.61, 0.62],
        "early_bird": [0.9, 0.95, 0.99],
    }.items():
        runs.loc[runs["arm"] == arm, "test_score"] = accuracies
    mixed = sentence(summarise(replace(results, runs=runs)))
    assert (
        "whether early_bird stays within 0.5 points of dense on this test set (2 are worse)"
        in mixed
    )
    runs.loc[runs["arm"] == "early_bird", "test_score"] = [0.4, 0.41, 0.42]
    lost = sentence(summarise(replace(results, runs=runs)))
    assert lost.startswith("Every method is worse than dense by more than 0.5 points on this")


def test_an_estimates_uncertainty_stands_with_the_ratio() -> None:
    """What cancels in it and what does not; a sensor's error is not an estimate's."""
    assert "±30 %: that cancels in the ratio where" in sentence(summarise(make()))
    assert "±" not in sentence(summarise(make(source="counter")))


def test_sentence_counts_the_seeds_of_accuracy_and_of_energy() -> None:
    """Five seeds have an accuracy, two of them an energy."""
    summary = challenged(Interval(-0.1, -0.3, 0.1, 5), Interval(0.58, 0.41, 0.82, 2))
    assert "energy (accuracy: 5 seeds; energy: 2 seeds)." in sentence(summary)
    lone = challenged(Interval(-0.1, -0.3, 0.1, 5), Interval(0.58, math.nan, math.nan, 1))
    assert "energy: one seed, no interval" in sentence(lone)


def test_sentence_speaks_of_the_test_set_alone_where_its_images_were_not_recorded() -> None:
    ratio = Interval(0.58, 0.55, 0.61, 3)
    for difference in (Interval(0, -0.2, 0.2, 3), Interval(0, -2, 2, 3), Interval(-9, -10, -8, 3)):
        assert "on this test set" in sentence(challenged(difference, ratio, images=0))
        assert "on this test set" not in sentence(challenged(difference, ratio))


def test_sentence_says_what_several_arms_and_a_rule_change() -> None:
    """Called by the verdict of all arms; that of this arm alone stands beside it."""
    results = make(["dense", "early_bird", "progressive"], rng_seed=1)
    runs = results.runs.copy()
    base = [0.980, 0.981, 0.979]
    for arm, shift in (("dense", 0.0), ("early_bird", 0.0), ("progressive", -0.0012)):
        spread = [0.0, 0.0, 0.0] if arm == "dense" else [-0.0017, 0.0, 0.0017]
        values = [one + shift + more for one, more in zip(base, spread, strict=True)]
        runs.loc[runs["arm"] == arm, "test_score"] = values
    both = summarise(replace(results, runs=runs))
    bird = both.arm("early_bird")
    assert bird is not None
    assert bird.decision is not None
    assert (bird.verdict, bird.decision.alone) == ("inconclusive", "non-inferior")
    assert "97.5 % CI" in sentence(both)
    assert "alone it would be called non-inferior" in sentence(both)
    lone = summarise(replace(results, runs=runs[runs["arm"] != "progressive"]))
    assert sentence(lone).startswith("early_bird keeps dense's accuracy")
    rule = {"seeds": {"until": "decided", "min": 3, "max": 10}}
    by_rule = sentence(summarise(replace(results, runs=runs, settings=rule)))
    assert by_rule.startswith("Three seeds of at most 10 cannot tell")
    equal = runs.assign(test_score=0.98 + 1e-6 * runs["seed"] * (runs["arm"] == "dense"))
    decided = sentence(summarise(replace(results, runs=equal, settings=rule)))
    assert "decided after 3 seeds by the rule" in decided


def test_sentence_picks_the_cheapest_of_those_that_keep_the_accuracy() -> None:
    summary = summarise(make())
    kept = [a for a in summary.challengers if a.verdict == "non-inferior" and a.ratio]
    cheapest = min(kept, key=lambda a: a.ratio.mean if a.ratio else math.inf)
    assert len(kept) > 1
    assert sentence(summary).startswith(f"{cheapest.arm} keeps ")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("estimated", "estimated energy"),
        ("simulated", "simulated energy"),
        ("counter", "measured energy"),
        ("sampled", "measured energy"),
    ],
)
def test_sentence_names_the_standing(source: str, word: str) -> None:
    assert f"of dense's {word}" in sentence(summarise(make(source=source)))


def test_mixed_sources_are_called_mixed() -> None:
    results = make(source="counter")
    results.runs.loc[results.runs["arm"] == "dense", "energy_source"] = "estimated"
    assert "dense's partly estimated energy" in sentence(summarise(results))


def test_one_seed_has_no_interval_and_says_so() -> None:
    text = sentence(summarise(make(seeds=1)))
    assert text.startswith("One seed gives no interval, so it cannot tell whether any method")
    assert "CI" not in text


def test_no_baseline_has_no_ratio_and_says_so() -> None:
    text = sentence(summarise(make(["progressive", "early_bird"])))
    assert text.startswith("No run of dense has finished, so no ratio can be given")
    assert "×" not in text
    assert "estimated energy" in text


def test_failed_baseline_is_no_baseline() -> None:
    summary = summarise(make(failed=[("dense", seed) for seed in range(3)]))
    assert not summary.has_baseline
    assert all(a.ratio is None for a in summary.arms)


def test_baseline_alone() -> None:
    assert "no other method has finished" in sentence(summarise(make(["dense"])))


def test_nothing_finished() -> None:
    failed = [(name, seed) for name in PLANS for seed in range(3)]
    assert sentence(summarise(make(failed=failed))).startswith("No run has finished")


def test_seeds_that_never_meet_cannot_be_paired() -> None:
    failed = [("dense", 0), ("early_bird", 1), ("early_bird", 2)]
    text = sentence(summarise(make(["dense", "early_bird"], failed=failed)))
    assert text.startswith("No finished run shares a seed")


def test_two_finished_runs_of_one_seed_are_refused() -> None:
    results = make(["dense"])
    twice = pd.concat([results.runs, results.runs.head(1)])
    with pytest.raises(ValueError, match="arm 'dense' has more than one finished run with seed 0"):
        StudyResults("digits", twice, results.curves, results.phases)


def test_missing_column_is_named() -> None:
    results = make(["dense"])
    with pytest.raises(ValueError, match="runs: missing column energy_j"):
        StudyResults("d", results.runs.drop(columns="energy_j"), results.curves, results.phases)


def printed(summary: Summary, width: int) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(terminal_table(summary))
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_terminal_table_answers_at_every_width(width: int) -> None:
    """The verdict, both comparisons with their intervals, and the counts are always there."""
    summary = summarise(make(failed=[("progressive", 0)]))
    text = printed(summary, width)
    assert max(map(len, text.splitlines())) <= width
    for name in PLANS:
        assert any(line.startswith(name[:9]) for line in text.splitlines()), name
    for each in summary.challengers:
        assert each.verdict
        assert each.verdict in text
        assert each.decision
        assert each.ratio
        assert non_inferiority(each.decision.interval, summary.margin) == each.verdict
        points = each.decision.interval.scaled(100)
        assert f"{signed(points.low, 2)} … {signed(points.high, 2)}" in text
        assert f"{fixed(each.ratio.low, 2)} … {fixed(each.ratio.high, 2)}" in text
    assert "2/3" in text
    assert "stimated" in text
    assert "for points, that of the verdict (98.3 %)" in " ".join(text.split())


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (120, ["CO2e", "MACs", "params", "time", "energy J", "acc. %"], []),
        (90, ["params", "time", "energy J", "acc. %"], ["CO2e", "MACs"]),
        (60, ["acc. %"], ["CO2e", "MACs", "params", "time"]),
    ],
)
def test_what_matters_least_gives_way_first(width: int, there: list[str], gone: list[str]) -> None:
    text = printed(summarise(make()), width)
    assert all(name in text for name in there)
    assert not any(name in text for name in gone)


def test_notes_of_a_terminal_are_wrapped_between_words() -> None:
    notes = printed(summarise(make()), 60).split("\n\n")[-1]
    assert "measured by a sensor" in " ".join(notes.split())


def test_terminal_table_prints_markup_in_a_name_as_text() -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(terminal_table(summarise(make({"[red]x": "dense"}))))
    assert "[red]x" in console.export_text()
