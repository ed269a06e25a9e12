"""Paired differences: the numbers are scipy's, pairs can be traced, and extremes stay readable."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.figures import paired_differences
from reports.plotting import style
from reports.plotting.axes import ratio_ticks
from tests.reports.readable_figure import assert_readable
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.lines import Line2D

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

LONG = [
    "dense",
    *(f"early_bird max_distance=0.1 reinit=True prune_ratio=0.{n:012d}" for n in range(11)),
]


def drawn(results: StudyResults) -> Figured:
    figured = paired_differences.draw(results)
    assert figured is not None
    return figured


def changed(
    results: StudyResults, arm: str, column: str, by: Callable[[int], float]
) -> StudyResults:
    """The same study with one arm's figures multiplied, by seed."""
    runs = results.runs.copy()
    own = runs["arm"] == arm
    runs.loc[own, column] = [
        value * by(seed)
        for value, seed in zip(runs.loc[own, column], runs["seed"][own], strict=True)
    ]
    return replace(results, runs=runs)


def dots(figured: Figured, panel: int, arm: str, results: StudyResults) -> list[Line2D]:
    """The marks of an arm's seeds in a panel."""
    colour = style.arm_styles(results.arms, results.baseline_arm)[arm].faint
    return [
        line
        for line in figured.figure.axes[panel].lines
        if line.get_markersize() == 3.2 and line.get_color() == colour
    ]


def test_means_and_intervals_are_those_of_scipy() -> None:
    results = make(["dense", "early_bird"], seeds=5)
    frame = drawn(results).frame
    mean = frame[frame["kind"] == "mean"].iloc[0]
    for column, name, taken, message in (
        ("test_score", "score_difference", lambda a, b: a - b, float),
        ("energy_j", "energy_ratio", lambda a, b: np.log(a / b), np.exp),
    ):
        own, base = (
            np.array([results.by_seed(arm, column)[seed] for seed in range(5)])
            for arm in ("early_bird", "dense")
        )
        pairs = taken(own, base)
        low, high = stats.t.interval(0.95, 4, np.mean(pairs), stats.sem(pairs))
        assert mean[name] == pytest.approx(message(np.mean(pairs)))
        assert (mean[f"{name}_low"], mean[f"{name}_high"]) == pytest.approx(
            (message(low), message(high))
        )
        assert frame[name][:5].tolist() == pytest.approx(
            message(pairs).tolist() if message is np.exp else pairs
        )
    assert mean[["score_difference_n", "energy_ratio_n"]].tolist() == [5, 5]


def test_a_seed_is_at_the_same_height_in_both_panels_and_all_arms() -> None:
    results = make(seeds=4, failed=[("early_bird", 1)])
    figured = drawn(results)
    heights = {}
    for row, arm in enumerate(results.arms[1:]):
        for panel in (0, 1):
            heights[arm, panel] = [
                line.get_ydata()[0] - row for line in dots(figured, panel, arm, results)
            ]
        assert heights[arm, 0] == pytest.approx(heights[arm, 1])
        assert heights[arm, 0] == sorted(heights[arm, 0])
    full = heights["progressive", 0]
    assert heights["early_bird", 0] == pytest.approx([full[0], full[2], full[3]])
    assert all(-0.5 < height < 0.5 for height in full)


def test_rows_are_the_arms_and_the_margin_is_shaded() -> None:
    results = replace(make(), margin=0.8)
    figured = drawn(results)
    left, right = figured.figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == results.arms[1:]
    [shade] = left.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((-0.8, 0))
    assert not right.patches
    for axes, unchanged in ((left, 0), (right, 1)):
        assert [unchanged, unchanged] in [list(line.get_xdata()) for line in axes.lines]
        assert unchanged in axes.get_xticks()
        low, high = axes.get_xlim()
        assert low < unchanged < high
    assert right.get_xscale() == "log"
    assert "0.8 points" in figured.caption


@pytest.mark.parametrize(
    "results",
    [
        make(["progressive", "early_bird"]),
        make(["dense"]),
        make(["dense", "early_bird"], failed=[("dense", n) for n in range(3)]),
        make(["dense", "early_bird"], failed=[("dense", 0), ("early_bird", 1), ("early_bird", 2)]),
    ],
    ids=["no baseline", "alone", "none finished", "no shared seed"],
)
def test_there_is_no_figure_without_a_pair(results: StudyResults) -> None:
    assert paired_differences.draw(results) is None


def test_an_arm_without_a_pair_is_named_and_the_others_stay() -> None:
    lost = [("dense", 0), ("early_bird", 1), ("early_bird", 2)]
    figured = drawn(make(failed=lost))
    assert "early_bird" not in set(figured.frame["arm"])
    assert "not shown: early_bird." in figured.caption


def test_one_pair_is_a_dot_and_the_caption_says_so() -> None:
    figured = drawn(make(seeds=1))
    assert all(line.get_markersize() < 7 for axes in figured.figure.axes for line in axes.lines)
    assert "no interval can be given" in figured.caption
    assert "95 % CI" not in figured.alt
    assert "no interval can be given" not in drawn(make(seeds=2)).caption


def test_what_is_not_known_is_left_out() -> None:
    results = changed(make(["dense", "early_bird"]), "early_bird", "test_score", lambda _: math.nan)
    results = changed(results, "early_bird", "energy_j", lambda seed: 0.0 if seed == 2 else 1.0)
    figured = drawn(results)
    assert len(dots(figured, 0, "early_bird", results)) == 0
    assert len(dots(figured, 1, "early_bird", results)) == 2
    counts = figured.frame.iloc[-1][["score_difference_n", "energy_ratio_n"]]
    assert counts.tolist() == [0, 2]
    assert "– points, n = 0; " in figured.alt
    assert "the energy, n = 2." in figured.alt


@pytest.mark.parametrize(
    "results",
    [
        make(LONG),
        make(["dense", LONG[1]], seeds=1, source="simulated"),
        make(dict.fromkeys(["dense", "b", "c"], "dense"), spread=0),
        make(dict.fromkeys(["dense", "$x_1^{", "a<b>&c"], "early_bird"), seeds=2),
        changed(make(seeds=2), "early_bird", "energy_j", lambda seed: 10.0 ** (7 * seed - 4)),
        changed(make(), "early_bird", "energy_j", lambda seed: 10.0 ** (seed - 4)),
        changed(make(), "lottery_ticket", "energy_j", lambda _: 1e3),
        changed(make(seeds=2), "early_bird", "test_score", lambda seed: 0.05 + 0.9 * seed),
    ],
    ids=["twelve", "two", "equal", "odd", "n = 2", "small", "large", "accuracy"],
)
def test_extremes_stay_readable(results: StudyResults) -> None:
    figured = drawn(results)
    assert_readable(figured.figure)
    for panel, axes in enumerate(figured.figure.axes):
        low, high = axes.get_xlim()
        every = [dot for arm in results.arms[1:] for dot in dots(figured, panel, arm, results)]
        assert all(low <= dot.get_xdata()[0] <= high for dot in every)
        ends = [x for line in axes.lines for x in line.get_xdata() if line.get_linewidth() == 1.4]
        assert all(low <= end <= high for end in ends)
        assert 1 <= len(axes.get_xticks()) <= 9


def test_an_interval_beyond_the_axis_ends_in_an_arrow() -> None:
    results = changed(make(seeds=2), "early_bird", "energy_j", lambda seed: 10.0 ** (7 * seed - 4))
    arrows = [line.get_marker() for line in drawn(results).figure.axes[1].lines]
    assert {"<", ">"} <= set(arrows)
    plain = [line.get_marker() for line in drawn(make(seeds=2)).figure.axes[1].lines]
    assert not {"<", ">"} & set(plain)


def test_marks_tell_of_each_seed_unless_there_are_too_many() -> None:
    figured = drawn(make(["dense", "early_bird"]))
    tips = list(figured.marks.tips.values())
    assert sum(tip.startswith("early_bird, seed 1: ") for tip in tips) == 2
    assert sum("n = 3" in tip for tip in tips) == 2
    assert set(figured.marks.arms.values()) == {1}
    assert len(drawn(make(["dense", "early_bird"], seeds=200)).marks.tips) == 2


@pytest.mark.parametrize(("source", "hollow"), [("estimated", True), ("counter", False)])
def test_estimates_are_hollow(source: str, hollow: bool) -> None:
    figured = drawn(make(source=source))
    means = [line for line in figured.figure.axes[1].lines if line.get_markersize() == 7]
    assert all((line.get_markerfacecolor() == "white") == hollow for line in means)
    assert ("Hollow" in figured.caption) == hollow
    assert figured.figure.axes[1].get_xlabel().startswith("Estimated" if hollow else "Energy")


@settings(derandomize=True, deadline=None)
@given(st.floats(-30, 0), st.floats(0, 30))
def test_ticks_are_few_round_and_hold_one(low: float, high: float) -> None:
    ends = min(10.0**low, 1 / 1.04), max(10.0**high, 1.04)
    ticks = ratio_ticks(*ends)
    assert 1 <= len(ticks) <= 6
    assert ticks == sorted(ticks)
    assert any(tick == pytest.approx(1) for tick in ticks)
    assert all(ends[0] <= tick <= ends[1] for tick in ticks)
