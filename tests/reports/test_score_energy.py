"""Accuracy against energy: groups, the Pareto front, the band, the axes and the names."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.settings.run_spec import short_labels_of
from harness.study.choose import choose_study
from harness.study.expand import expand
from reports.figures import score_energy
from reports.figures.score_energy import FRONT, TIPS
from reports.plotting import style
from reports.plotting.labels import renderer_of
from reports.plotting.score_energy_axes import steps
from reports.statistics.arm_groups import arm_groups, split_level
from reports.statistics.frontier import pareto_front
from reports.text.captions import measurement_uncertainty
from tests.reports.synthetic import PLANS, make

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

STUDIES = Path(__file__).parents[2] / "harness" / "study" / "studies"
SWEEP = ["dense", *(f"early_bird prune_ratio=0.{p}" for p in (3, 5, 7)), "lottery_ticket"]
LONG = ["dense", *(f"m{i}_{'x' * 57}" for i in range(4))]
ODD = ["dense", "$x_1^{", "a<b>&c", "_hidden"]


def paper() -> list[str]:
    """The labels of the 22 arms of the study after the paper."""
    study, registry = choose_study(("paper-vgg16-cifar10",), (), (), (), ())
    return list(dict.fromkeys(short_labels_of(expand(study, registry))))


@pytest.mark.parametrize(
    ("arm", "name", "level"),
    [
        ("early_bird prune_ratio=0.3 reinit=True", "early_bird reinit=True", 0.3),
        ("lottery_ticket rounds=1 fraction=0.5", "lottery_ticket rounds=1", 0.5),
        ("snip sparsity=1", "snip", 1.0),
        # The mask is as sparse as `sparsity` says; `fraction` is what moves in it.
        ("rigl sparsity=0.9 fraction=0.3", "rigl fraction=0.3", 0.9),
        ("rigl fraction=0.3", "rigl fraction=0.3", None),
        ("dense", "dense", None),
        ("odd prune_ratio=None", "odd prune_ratio=None", None),
        ("odd prune_ratio=nan", "odd prune_ratio=nan", None),
        ("odd sparsity=50", "odd sparsity=50", None),
        ("odd my_sparsity=0.5", "odd my_sparsity=0.5", None),
    ],
)
def test_a_label_gives_its_group_and_level(arm: str, name: str, level: float | None) -> None:
    assert split_level(arm) == (name, level)


def test_groups_hold_their_arms_in_order_of_level() -> None:
    pruned, alone, other = arm_groups(
        ["snip sparsity=0.9", "dense", "snip sparsity=0.25", "early_bird prune_ratio=0.3"]
    )
    assert pruned.arms == ("snip sparsity=0.25", "snip sparsity=0.9")
    assert (pruned.name, pruned.levels) == ("snip", (0.25, 0.9))
    assert pruned.short("snip sparsity=0.9") == "90 %"
    assert pruned.title.replace("\u00a0", " ") == "snip (25, 90 %)"
    assert alone.title == alone.short("dense") == "dense"
    assert other.title == other.name == "early_bird prune_ratio=0.3"


def test_the_study_after_the_paper_has_eight_groups() -> None:
    arms = paper()
    assert len(arms) == 22
    found = arm_groups(arms)
    assert [len(group.arms) for group in found] == [1, 3, 3, 3, 3, 3, 3, 3]
    styles = style.arm_styles(arms, "dense")
    assert styles == style.arm_styles(arms[::-1], "dense")
    looks = {
        group.name: {(styles[a].colour, styles[a].marker) for a in group.arms} for group in found
    }
    assert all(len(each) == 1 for each in looks.values())
    assert len(set().union(*looks.values())) == 8
    assert len(set(styles.values())) == 22


COORDINATE = st.one_of(st.integers(0, 5).map(float), st.floats(0, 5), st.just(math.nan))
POINTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.tuples(COORDINATE, COORDINATE)
)


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(POINTS)
def test_no_point_of_the_front_is_dominated_and_every_other_is(
    points: dict[str, tuple[float, float]],
) -> None:
    front = pareto_front(points)
    known = {name: point for name, point in points.items() if not any(map(math.isnan, point))}
    assert set(front) <= set(known)
    for name, point in known.items():
        beaten = any(dominates(other, point) for other in known.values())
        assert beaten == (name not in front)
    costs = [points[name][0] for name in front]
    assert costs == sorted(costs)


@given(POINTS, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(
    points: dict[str, tuple[float, float]], random: object
) -> None:
    shuffled = list(points.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert pareto_front(dict(shuffled)) == pareto_front(points)


def test_equal_points_are_on_the_front_together() -> None:
    points = {"a": (1.0, 2.0), "b": (1.0, 2.0), "c": (1.0, 1.0), "d": (2.0, 2.0)}
    assert pareto_front(points) == ["a", "b"]
    assert pareto_front({"nan": (math.nan, 1.0)}) == pareto_front({}) == []


def test_steps_give_the_best_for_an_energy_or_less() -> None:
    corners = steps([(1.0, 5.0), (3.0, 7.0)], right=9.0)
    assert corners == [(1.0, 5.0), (3.0, 5.0), (3.0, 7.0), (9.0, 7.0)]
    assert steps([], right=9.0) == []


def drawn(results: StudyResults) -> Figured:
    figured = score_energy.draw(results)
    assert figured is not None
    return figured


def texts(figure: Figure) -> list[str]:
    """All that is written in the axes and the legend, on one line each."""
    written = [text for axes in figure.axes for text in axes.texts]
    written += [text for legend in figure.legends for text in legend.get_texts()]
    return [" ".join(text.get_text().split()) for text in written]


@pytest.fixture(
    scope="module",
    params=[["dense"], list(PLANS), SWEEP, LONG, ODD, paper(), list(PLANS)[1:]],
    ids=["one", "four", "sweep", "long", "odd", "paper", "no baseline"],
)
def study(request: pytest.FixtureRequest) -> StudyResults:
    return make({arm: arm.split(" ")[0] for arm in request.param})


@pytest.fixture(scope="module")
def figured(study: StudyResults) -> Figured:
    return drawn(study)


def test_every_group_is_named_once(study: StudyResults, figured: Figured) -> None:
    written = texts(figured.figure)
    for group in arm_groups(study.arms):
        names = {"".join(text.split()) for text in (group.name, group.title)}
        assert sum("".join(text.split()) in names for text in written) == 1
    for explained in (FRONT, "within 0.5 points of dense"):
        assert written.count(explained) <= 1


def test_nothing_is_clipped_and_no_label_overlaps(figured: Figured) -> None:
    with style.printed():
        figured.figure.draw_without_rendering()
        renderer = renderer_of(figured.figure.axes[0])
        boxes = [text.get_window_extent(renderer) for text in figured.figure.axes[0].texts]
        whole = figured.figure.get_tightbbox(renderer)
    whole = whole.transformed(figured.figure.dpi_scale_trans)
    page = figured.figure.bbox.padded(0.5)
    for box in (whole, *boxes):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_a_crowd_falls_back_to_a_legend_and_a_few_do_not() -> None:
    few = drawn(make()).figure
    assert not few.legends
    assert {FRONT, "within 0.5 points of dense"} <= set(texts(few))
    assert not drawn(make(SWEEP, source="counter")).figure.legends
    assert drawn(make(LONG)).figure.legends


def test_a_group_is_joined_and_bears_its_levels() -> None:
    figured = drawn(make(SWEEP, source="counter"))
    written = texts(figured.figure)
    assert {"30 %", "50 %", "70 %", "early_bird"} <= set(written)
    means = figured.frame[figured.frame["kind"] == "mean"].set_index("arm")
    joined = [
        [tuple(point) for point in line.get_xydata()]
        for line in figured.figure.axes[0].lines
        if line.get_linewidth() == 0.9
        and line.get_color() == style.arm_styles(SWEEP, "dense")[SWEEP[1]].colour
    ]
    expected = [
        (means.loc[arm, "energy_j"], means.loc[arm, "test_score"] * 100) for arm in SWEEP[1:4]
    ]
    assert joined == [expected[:2], expected[1:]]
    assert means["level"].dropna().tolist() == [0.3, 0.5, 0.7]


def with_means(**means: tuple[float, float]) -> StudyResults:
    """A study whose arms have these mean energies (J) and test accuracies (%), over two seeds."""
    results = make(list(means), seeds=2, source="counter")
    runs = results.runs.copy()
    for arm, (joules, accuracy) in means.items():
        of_arm = runs["arm"] == arm
        runs.loc[of_arm, "energy_j"] = [0.9 * joules, 1.1 * joules]
        runs.loc[of_arm, "test_score"] = [accuracy / 100 - 0.001, accuracy / 100 + 0.001]
        runs.loc[of_arm, "uncertainty_j"] = 0.02 * joules
    return replace(results, runs=runs)


def test_the_front_and_the_band_lie_where_they_should() -> None:
    results = with_means(
        dense=(100, 90), early_bird=(50, 89.6), snip=(100, 89), progressive=(200, 91)
    )
    figured = drawn(results)
    axes = figured.figure.axes[0]
    means = figured.frame[figured.frame["kind"] == "mean"].set_index("arm")
    assert means["on_front"].to_dict() == {
        "dense": True,
        "early_bird": True,
        "snip": False,
        "progressive": True,
    }
    fronts = [line for line in axes.lines if line.get_color() == "#8c8c8c"]
    stepped = [point for line in fronts for point in line.get_xydata().tolist()]
    right = axes.get_xlim()[1]
    corners = [(50, 89.6), (100, 89.6), (100, 89.6), (100, 90), (200, 90)]
    corners += [(200, 90), (200, 91), (right, 91)]
    assert np.ravel(stepped) == pytest.approx(np.ravel(corners))
    (band,) = axes.patches
    assert [band.get_y(), band.get_y() + band.get_height()] == pytest.approx([89.5, 90])
    assert "within 0.5 points of dense" in texts(figured.figure)
    assert "On the Pareto front: early_bird, dense, progressive." in figured.alt
    assert "within 2 points of dense" in drawn(replace(results, margin=2.0)).caption


def test_one_arm_has_no_front_and_no_baseline_no_band() -> None:
    alone = drawn(make(["dense"]))
    assert FRONT not in texts(alone.figure)
    assert "Pareto" not in alone.caption + alone.alt
    without = drawn(make(list(PLANS)[1:]))
    assert not without.figure.axes[0].patches
    assert "Shaded" not in without.caption


@pytest.mark.parametrize(("factor", "scale"), [(29, "linear"), (31, "log")])
def test_energies_far_apart_get_a_logarithmic_axis(factor: float, scale: str) -> None:
    figured = drawn(with_means(dense=(10, 90), early_bird=(10 * factor, 91)))
    axes = figured.figure.axes[0]
    assert axes.get_xscale() == scale
    assert ("The energy axis is logarithmic." in figured.caption) == (scale == "log")
    assert ("(log scale)" in axes.get_xlabel()) == (scale == "log")


def test_a_logarithmic_axis_marks_joules_and_cuts_wide_intervals() -> None:
    results = with_means(dense=(1e-3, 90), early_bird=(1e9, 91))
    figured = drawn(results)
    axes = figured.figure.axes[0]
    marks = [text.get_text() for text in axes.get_xticklabels()]
    assert {"10 mJ", "1 J", "10 kJ"} <= set(marks)
    assert all("$" not in mark for mark in marks)
    # Two seeds that differ by 20 % have an interval over half a magnitude each way.
    means = figured.frame[figured.frame["kind"] == "mean"]
    assert (means["energy_j_low"] > 0).all()
    assert (means["energy_j_low"] < 0.3 * means["energy_j"]).all()
    assert (means["energy_j_high"] > 3 * means["energy_j"]).all()
    assert max(float(max(line.get_xdata())) for line in axes.lines) < 4e9
    assert "extends beyond it" in figured.caption
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 1.2]
    assert min(map(min, bars)) >= axes.get_xlim()[0]
    assert axes.get_xlim()[0] > 0


def test_energies_without_a_logarithm_stay_on_a_linear_axis() -> None:
    results = with_means(dense=(10, 90), early_bird=(1000, 91))
    runs = results.runs.assign(
        energy_j=results.runs["energy_j"].where(results.runs["energy_j"] != 9, 0)
    )
    assert drawn(replace(results, runs=runs)).figure.axes[0].get_xscale() == "linear"


def test_a_run_without_a_figure_is_left_out() -> None:
    results = make(source="counter")
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "early_bird", "energy_j"] = math.nan
    runs.loc[(runs["arm"] == "dense") & (runs["seed"] == 0), "test_score"] = math.nan
    figured = drawn(replace(results, runs=runs))
    means = figured.frame[figured.frame["kind"] == "mean"].set_index("arm")
    assert "early_bird" not in means.index
    assert (figured.frame["kind"] == "run").sum() == len(runs), "the table has every finished run"
    assert means.loc["dense", ["energy_j_n", "test_score_n"]].tolist() == [3, 2]
    assert any(
        tip.startswith("dense, mean of 2 (energy of 3): ") for tip in figured.marks.tips.values()
    )
    assert score_energy.draw(replace(results, runs=results.runs.assign(energy_j=math.nan))) is None


def test_means_and_runs_tell_of_themselves() -> None:
    results = make(SWEEP, source="counter")
    figured = drawn(results)
    svg = io.StringIO()
    with style.printed():
        figured.figure.savefig(svg, format="svg")
    assert all(f'<g id="{gid}"' in svg.getvalue() for gid in figured.marks.arms)
    assert set(figured.marks.arms.values()) == set(range(len(SWEEP)))
    tips = list(figured.marks.tips.values())
    assert len(tips) == 5 * 3 + 5
    first = results.runs.iloc[0]
    assert f"dense, seed 0: {first['test_score'] * 100:.1f} % at {first['energy_j']:.1f} J" in tips
    assert any(tip.startswith("lottery_ticket, mean of 3: ") for tip in tips)


def test_of_several_machines_energies_are_ratios_within_each() -> None:
    """The second machine takes a hundred times the joules: nothing of that is in the figure."""
    results = make(("dense", "early_bird"), seeds=4)
    runs, faster = results.runs.copy(), results.runs["seed"] < 2
    one_machine = drawn(results).frame
    runs.loc[faster, "energy_device"] = "another"
    runs.loc[faster, "energy_j"] *= 0.01
    figured = drawn(replace(results, runs=runs))
    assert figured.figure.axes[0].get_xlabel().endswith("(× dense)")
    assert "several devices" in figured.caption
    assert "1.00 × dense" in figured.alt
    shown = figured.frame[figured.frame["kind"] == "run"].set_index(["arm", "seed"])["energy_ratio"]
    joules = one_machine[one_machine["kind"] == "run"].set_index(["arm", "seed"])["energy_j"]
    for seed in range(4):
        expected = joules["early_bird", seed] / joules["dense", seed]
        assert shown["early_bird", seed] == pytest.approx(expected)
    mean = figured.frame.query("kind == 'mean' and arm == 'early_bird'").iloc[0]
    assert mean["energy_ratio_low"] < mean["energy_ratio"] < mean["energy_ratio_high"]
    assert mean["energy_ratio"] == pytest.approx(math.exp(np.log(shown["early_bird"]).mean()))


def test_where_devices_differ_within_a_seed_energies_stay_joules() -> None:
    """A ratio of two devices would be called one of two methods."""
    results = make(("dense", "early_bird"), seeds=4)
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "early_bird", "energy_device"] = "another"
    figured = drawn(replace(results, runs=runs))
    assert figured.figure.axes[0].get_xlabel().endswith("(J)")
    assert list(figured.frame.query("kind == 'run'")["energy_j"]) == list(runs["energy_j"])


def test_many_runs_are_one_artist_an_arm() -> None:
    results = make(["dense", "early_bird"], seeds=TIPS // 2 + 1, source="counter")
    figured = drawn(results)
    assert len(figured.marks.tips) == 2
    svg = io.StringIO()
    figured.figure.savefig(svg, format="svg")
    assert len(svg.getvalue()) < 100_000


def test_the_caption_says_how_uncertain_the_measurement_is() -> None:
    results = with_means(dense=(100, 90), early_bird=(50, 91))
    assert "(95 %): ±2.0 %." in measurement_uncertainty(results)
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "early_bird", "uncertainty_j"] = [4.0, 8.0]
    results = replace(results, runs=runs)
    assert "(95 %): ±2.0 % to ±12 %." in drawn(results).caption
    assert measurement_uncertainty(replace(results, runs=runs.assign(uncertainty_j=math.nan))) == ""


@pytest.mark.parametrize(
    "energies", [(1e-3, 1.0, 1e4, 1e9), (7.0,) * 4, (0.0,) * 4, (334.0, 334.0, 334.0, 1e4)]
)
def test_extreme_energies_are_drawn(energies: tuple[float, ...]) -> None:
    results = make(seeds=2)
    runs = results.runs.copy()
    for arm, joules in zip(PLANS, energies, strict=True):
        runs.loc[runs["arm"] == arm, "energy_j"] = joules
    figured = drawn(replace(results, runs=runs.assign(test_score=0.5)))
    with style.printed():
        figured.figure.draw_without_rendering()
    marks = [line for line in figured.figure.axes[0].lines if line.get_markersize() == 8]
    left, right = figured.figure.axes[0].get_xlim()
    assert len(marks) == 4
    assert all(left <= mark.get_xdata()[0] < right for mark in marks)
