"""Thresholds: exceeded, kept, or not to be checked, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.results.final_test import FinalTest
from reports.statistics.comparison import compare
from reports.statistics.score_difference import score_difference
from reports.tables.comparison import as_object, comparison_table
from reports.text.comparison import gate_sentence, intervals, notes, warnings
from tests.reports.compared import (
    AFTER,
    BEFORE,
    compared,
    gates,
    labelled,
    result_set,
    spec,
    the_gate,
)


def test_exceeded_and_shown() -> None:
    checked = the_gate(compared(BEFORE, AFTER), "energy:+5%")
    assert (checked.outcome, checked.confirmation) == ("exceeded", "shown")
    assert gate_sentence(checked) == (
        "energy of dense +7.9 % (95 % CI +6.5 … +9.4, paired, 3 seeds): more than the +5 % "
        "allowed, shown by the whole interval"
    )


def test_exceeded_within_noise() -> None:
    checked = the_gate(compared(BEFORE, [100.0, 130.0, 96.0]), "energy:+5%")
    assert (checked.outcome, checked.confirmation) == ("exceeded", "within noise")
    assert gate_sentence(checked).endswith("but within noise: the interval includes the limit")


@pytest.mark.parametrize(
    ("text", "outcome", "message"),
    [
        ("energy:+10%", "kept", "within the +10 % allowed"),
        ("energy:+0%", "exceeded", "more than the 0 % allowed"),
        ("energy:-1%", "exceeded", "short of the −1 % asked for"),
        ("time:+5%", "exceeded", "more than the +5 % allowed"),
        ("co2e:+5%", "exceeded", "more than the +5 % allowed"),
        ("accuracy:-0.5points", "exceeded", "less than the −0.5 points allowed"),
        ("accuracy:-2", "kept", "within the −2 points allowed"),
        ("accuracy:+0.1", "exceeded", "short of the +0.1 points asked for"),
    ],
)
def test_a_limit_holds_in_the_direction_that_harms(text: str, outcome: str, message: str) -> None:
    first = result_set("A", {"dense": BEFORE}, {"dense": [0.98, 0.97, 0.99]})
    second = result_set("B", {"dense": AFTER}, {"dense": [0.97, 0.96, 0.978]})
    checked = the_gate(compare(first, second), text)
    assert checked.outcome == outcome
    assert message in gate_sentence(checked)


def test_better_than_asked_for_is_kept() -> None:
    comparison = compared(AFTER, BEFORE)
    assert "reaches the −3 % asked for" in gate_sentence(the_gate(comparison, "energy:-3%"))


def test_a_change_on_the_limit_is_kept_and_one_beside_it_printed_apart() -> None:
    first = result_set("A", {"dense": BEFORE}, {"dense": [0.98, 0.98, 0.98]})
    second = result_set("B", {"dense": BEFORE}, {"dense": [0.975, 0.975, 0.975]})
    assert the_gate(compare(first, second), "accuracy:-0.5").outcome == "kept"
    near = compared(BEFORE, [value * 1.0502 for value in BEFORE])
    assert "+5.02 %" in gate_sentence(the_gate(near, "energy:+5%"))


@pytest.mark.parametrize(("before", "after"), [([100.0], [120.0]), ([100.0] * 3, [120.0] * 3)])
def test_no_width_shows_nothing(before: list[float], after: list[float]) -> None:
    checked = the_gate(compared(before, after), "energy:+5%")
    assert (checked.outcome, checked.confirmation) == ("exceeded", "not shown")
    assert "but not shown" in gate_sentence(checked)


@pytest.mark.parametrize("first_seed", [0, 10], ids=["paired", "Welch"])
def test_an_accuracy_allows_for_the_test_set_as_the_report_does(first_seed: int) -> None:
    """Five seeds lose about a point each, on 400 images of which others are wrong each time."""
    rng = np.random.default_rng(0)
    sides = []
    for side, wrong, seed in (
        ("A", (8, 9, 8, 9, 8), 0),
        ("B", (12, 12, 13, 13, 12), first_seed),
    ):
        right = np.ones((5, 400), dtype=np.uint8)
        for row, images in zip(right, wrong, strict=True):
            row[rng.choice(400, images, replace=False)] = 0
        tests = {
            ("dense", seed + n): FinalTest(float(row.mean()), 400, np.packbits(row).tobytes())
            for n, row in enumerate(right)
        }
        accuracies = {"dense": [test.score for test in tests.values()]}
        alone = result_set(side, {"dense": [100.0] * 5}, accuracies, first_seed=seed)
        sides.append((alone, replace(alone, tests=tests)))
    of_seeds, of_both = (compare(*pair) for pair in zip(*sides, strict=True))
    alone, both = (found.arms[0].changes["score"] for found in (of_seeds, of_both))
    assert (alone.samples, both.samples) == (0, 400)
    assert alone.found
    assert both.found
    assert both.found.mean == pytest.approx(alone.found.mean) == pytest.approx(-1)
    assert both.found.half_width > 1.5 * alone.found.half_width > 0
    assert the_gate(of_seeds, "accuracy:-0.5").confirmation == "shown"
    assert the_gate(of_both, "accuracy:-0.5").confirmation == "within noise"
    message = "those of accuracy allow for the choice of 400 test samples, too"
    assert message in intervals(of_both)
    assert message not in intervals(of_seeds)
    listed = as_object(of_both, [])["arms"][0]["score"]
    assert listed["test_samples"] == 400
    if first_seed == 0:
        arms = [
            {key: test for (_, key), test in side.tests.items()} for _, side in (sides[1], sides[0])
        ]
        assert both.found == score_difference(*arms).interval().scaled(100)


def test_boards_of_two_hosts_add_their_gain() -> None:
    comparison = compared(BEFORE, AFTER, attempts={"host": "node2"})
    change = comparison.arms[0].changes["energy"]
    assert change.doubt.gain == pytest.approx(math.hypot(0.05, 0.05))
    assert comparison.arms[0].changes["time"].doubt.gain == 0
    checked = the_gate(comparison, "energy:+5%")
    assert (checked.outcome, checked.confirmation) == ("exceeded", "within noise")
    assert "with ±7.1 % between the sensors" in gate_sentence(checked)
    (message,) = warnings(comparison)
    assert message == (
        "A ran on node1, B on node2: the gain errors of two boards' sensors do not cancel, "
        "which adds up to ±7.1 % to each ratio of energies, beside its interval"
    )
    assert the_gate(comparison, "energy:-5%").confirmation == "shown"


def test_boards_of_one_host_do_not_share_a_gain() -> None:
    """Nor do runs that were on them in another order, as far as they were on others."""
    sides = [result_set(side, {"dense": BEFORE}, runs={"gpus": f"GPU-{side}"}) for side in "AB"]
    comparison = compare(*sides)
    assert comparison.arms[0].changes["energy"].doubt.gain == pytest.approx(math.hypot(0.05, 0.05))
    (message,) = warnings(comparison)
    assert "A ran on GPU-A, B on GPU-B" in message
    for side, turn in zip(sides, ([0, 1], [1, 0]), strict=True):
        side.runs["gpus"] = [f"GPU-{turn[number % 2]}" for number in range(len(BEFORE))]
    odd = len(BEFORE) % 2
    expected = math.hypot(0.05, 0.05) * odd / len(BEFORE)
    assert compare(*sides).arms[0].changes["energy"].doubt.gain == pytest.approx(expected)
    sides[1].runs["gpus"] = sides[0].runs["gpus"]
    assert compare(*sides).arms[0].changes["energy"].doubt.gain == 0


def test_borders_gaps_and_aliasing_widen_a_ratio() -> None:
    """A gap may be alike in all runs; borders differ from run to run."""
    runs = {"gap_j": 30.0, "aliasing_j": 10.0, "border_j": 20.0}
    sides = [result_set(side, {"dense": [1000.0] * 4}, runs=runs) for side in "AB"]
    change = compare(*sides).arms[0].changes["energy"]
    assert change.doubt.blur == pytest.approx(math.sqrt(2) * math.hypot(0.04, 0.02 / 2))
    low, high = change.bounds
    assert high == pytest.approx(100 * change.doubt.blur)
    assert low == pytest.approx(100 * (1 / (1 + change.doubt.blur) - 1))


def test_an_unknown_gain_shows_nothing() -> None:
    changed = {"attempts": {"host": "node2"}, "runs": {"gain_j": math.nan}}
    comparison = compared(BEFORE, AFTER, **changed)
    assert the_gate(comparison, "energy:-50%").confirmation == "within noise"
    assert "adds what is unknown" in warnings(comparison)[0]
    assert as_object(comparison, [])["arms"][0]["energy"]["sensor_gain"] is None


def test_estimates_say_so() -> None:
    sides = [
        result_set(side, {"dense": BEFORE}, runs={"energy_source": "estimated"}) for side in "AB"
    ]
    comparison = compare(*sides)
    assert gate_sentence(the_gate(comparison, "energy:+5%")).startswith("estimated energy of dense")
    assert gate_sentence(the_gate(comparison, "time:+5%")).startswith("time of dense")
    assert comparison_table(comparison).header[2] == "Energy (estimated), ×"
    assert "energy is estimated in both, not measured by a sensor" in notes(comparison)


def test_what_cannot_be_checked_does_not_pass() -> None:
    for change in ({"runs": {"energy_scope": "cpu"}}, {"runs": {"status": "failed"}}):
        checked = the_gate(compared(BEFORE, AFTER, **change), "energy:+5%")
        assert checked.outcome == "unchecked"
        assert gate_sentence(checked).startswith("energy of dense cannot be checked because ")
        record = as_object(compared(BEFORE, AFTER, **change), [checked])
        assert record["passed"] is False


def test_an_arm_that_is_gone_does_not_pass_and_a_new_one_does() -> None:
    first = result_set("A", {"dense": BEFORE, "snip": BEFORE})
    second = result_set("B", {"dense": BEFORE, "rigl": BEFORE})
    comparison = compare(first, second)
    found = {each.arm: each.outcome for each in gates(comparison, "energy:+5%")}
    assert found == {"dense": "kept", "snip": "unchecked"}
    asked = the_gate(comparison, "rigl/energy:+5%")
    assert gate_sentence(asked) == (
        "energy of rigl cannot be checked because only B has this method"
    )
    alone = compare(result_set("A", {"dense": BEFORE}), result_set("B", {"rigl": BEFORE}))
    assert {each.outcome for each in gates(alone, "energy:+5%")} == {"unchecked"}


def test_one_arm_is_chosen_by_label_or_selector() -> None:
    arms = labelled(
        spec("rigl", {"density": 0.3, "shape": (1, 2)}),
        spec("rigl", {"density": 0.5, "shape": (1, 3)}),
        spec("dense"),
    )
    energies = dict.fromkeys(arms, BEFORE)
    comparison = compare(
        result_set("A", energies, specs=arms), result_set("B", energies, specs=arms)
    )
    labels = list(arms)

    def chosen(words: str) -> list[str]:
        return [each.arm for each in gates(comparison, f"{words}/energy:+5%")]

    assert chosen(labels[0]) == [labels[0]]
    assert chosen("rigl  density=0.5") == [labels[1]]
    assert chosen("rigl") == labels[:2]
    assert "did you mean 'dense'" in gate_sentence(the_gate(comparison, "dens/energy:+5%"))
    assert the_gate(comparison, "no method/energy:+5%").outcome == "unchecked"
