"""Energy to accuracy: curves of runs and means, targets, their table, and the figure."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from reports.data import CURVE_COLUMNS, StudyResults
from reports.figures import score_curves
from reports.figures.score_curves import VERTICES
from reports.plotting import style
from reports.plotting.labels import renderer_of
from reports.statistics.targets import (
    TargetReached,
    energy_to_targets,
    joules_to,
    reference_score,
    run_curves,
)
from reports.tables.targets import targets
from reports.text.phrases import listed, reached
from tests.reports.synthetic import PLANS, make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from reports.figures.figure_result import Figured

TWELVE = ["dense", *(f"m{i} {'long_name ' * 4}sparsity=0.{i} eps=0.{i}" for i in range(11))]
SWEPT = ("early_bird", "progressive", "lottery_ticket")
SWEEPS = ["dense", *(f"{name} prune_ratio=0.{level}" for name in SWEPT for level in (3, 5, 7))]

Accuracies = list[float]


def by_hand(
    arms: Mapping[str, Sequence[Accuracies]],
    search_epochs: Mapping[str, Sequence[float]] | None = None,
) -> StudyResults:
    """A study whose runs have these accuracies (%), evaluated after 10, 20, ... J and seed + 1 J.

    The number of search epochs is given a run; without it, the results do not tell it.
    """
    base = make(list(arms), seeds=max(map(len, arms.values())), source="counter")
    rows, final = [], {}
    for arm, runs in arms.items():
        for seed, accuracies in enumerate(runs):
            final[arm, seed] = accuracies[-1] / 100
            rows += [
                {
                    "arm": arm,
                    "method": arm,
                    "seed": seed,
                    "order": order,
                    "phase": "train",
                    "epochs_trained": order + 1,
                    "energy_j": 10.0 * (order + 1) + seed + 1,
                    "val_score": accuracy / 100,
                }
                for order, accuracy in enumerate(accuracies)
            ]
    keys = [(str(a), int(s)) for a, s in zip(base.runs["arm"], base.runs["seed"], strict=True)]
    runs = base.runs.assign(val_score=[final.get(key) for key in keys])
    runs = runs[[key in final for key in keys]]
    if search_epochs is not None:
        means = [search_epochs[arm][seed] for arm, seed in keys if (arm, seed) in final]
        runs = runs.assign(search_epochs=means)
    return replace(base, runs=runs, curves=pd.DataFrame(rows, columns=CURVE_COLUMNS))


def found(results: StudyResults) -> dict[tuple[str, float], TargetReached]:
    return {(each.arm, each.share): each for each in energy_to_targets(results)}


def test_energy_is_that_of_the_first_evaluation_at_or_above() -> None:
    energy_j = np.array([10.0, 20.0, 30.0, 40.0])
    accuracy = np.array([0.5, 0.9, 0.8, 0.95])
    assert joules_to(energy_j, accuracy, 0.9) == 20.0
    assert joules_to(energy_j, accuracy, 0.7) == 20.0  # not between 10 and 20
    assert joules_to(energy_j, accuracy, 0.91) == 40.0
    assert math.isnan(joules_to(energy_j, accuracy, 0.96))
    assert joules_to(energy_j, np.array([0.0, 0.3, 0.9, 1.0]), 0.1 * 3) == 20.0


def test_targets_by_hand() -> None:
    # Dense ends at 80 % on average: 72, 76 and 79.2 % are wanted.
    results = by_hand(
        {
            "dense": [[70, 76, 80], [72, 78, 80], [60, 73, 80]],
            "early_bird": [[77, 80, 79], [60, 70, 76.5], [50, 60, 70]],
        }
    )
    assert reference_score(results) == pytest.approx(0.8)
    means = found(results)
    dense = means["dense", 0.95]
    assert dense.energy_j.mean == pytest.approx((21 + 22 + 33) / 3)
    assert (dense.energy_j.n, dense.seeds, dense.ratio) == (3, 3, None)
    bird = means["early_bird", 0.95]
    assert bird.energy_j.mean == pytest.approx((11 + 32) / 2)
    assert (bird.energy_j.n, bird.seeds) == (2, 3)
    # Student's t for two values, on the log scale: 12.706 × half their distance.
    high = 21.5 * math.exp(12.7062 * 10.5 / 21.5)
    assert bird.energy_j.high == pytest.approx(high, rel=1e-4)
    assert bird.ratio is not None
    assert bird.ratio.mean == pytest.approx(math.sqrt(11 / 21 * 32 / 22))
    assert bird.ratio.n == 2
    last = means["early_bird", 0.99]
    assert (last.energy_j.mean, last.energy_j.n) == (21.0, 1)


def test_a_frozen_target_stays_where_it_is_however_dense_ends() -> None:
    accuracies = {"dense": [[70, 76, 80], [72, 78, 80]], "early_bird": [[77, 80, 91], [60, 70, 70]]}
    results = replace(by_hand(accuracies), target_score=100.0)
    assert reference_score(results) == 1.0
    means = found(results)
    assert means["early_bird", 0.90].energy_j.mean == 31.0
    assert means["dense", 0.90].energy_j.n == 0, "80 % is less than 90 % of the target"
    table = targets(results)
    assert table is not None
    assert "90, 95 and 99 % of the 100.0 % that the study sets" in table.legend


def test_a_network_before_its_last_pruning_reaches_nothing() -> None:
    accuracies = {"dense": [[70, 80], [70, 80]], "early_bird": [[80, 60, 75], [79, 80, 60]]}
    means = found(by_hand(accuracies, {"dense": [0, 0], "early_bird": [1, 2]}))
    at_90 = means["early_bird", 0.9]
    assert (at_90.energy_j.mean, at_90.energy_j.n, at_90.seeds) == (31.0, 1, 2)
    # All that was spent until then counts, the search too.
    assert at_90.ratio is not None
    assert at_90.ratio.mean == pytest.approx(31 / 21)
    everything = found(by_hand(accuracies, {"dense": [0, 0], "early_bird": [0, 0]}))
    assert everything["early_bird", 0.9].energy_j.mean == pytest.approx((11 + 12) / 2)


def test_older_results_count_their_last_phase() -> None:
    curves = run_curves(make(seeds=1))
    assert {arm: runs[0].shaped for arm, runs in curves.items()} == {
        "dense": 0,
        "progressive": 24,
        "lottery_ticket": 24,
        "early_bird": 4,
    }


def test_a_run_that_was_not_evaluated_in_its_final_shape_shows_nothing() -> None:
    means = found(by_hand({"dense": [[80.0]], "snip": [[80.0, 80.0]]}, {"dense": [0], "snip": [2]}))
    assert means["snip", 0.9].seeds == 0
    assert reached(means["snip", 0.9]) == "–"


def test_without_a_baseline_there_is_no_target() -> None:
    results = make(list(PLANS)[1:])
    assert found(results) == {}
    assert targets(results) is None
    failed = make(failed=[("dense", seed) for seed in range(3)])
    assert targets(failed) is None


def test_the_table_says_who_reached_what() -> None:
    results = by_hand(
        {
            "dense": [[70, 76, 80], [72, 78, 80], [60, 73, 80]],
            "early_bird": [[77, 80, 79], [60, 70, 76.5], [50, 60, 70]],
            "snip": [[10, 20, 30]],
        }
    )
    table = targets(results)
    assert table is not None
    assert table.name == "energy_to_score"
    assert list(table.header) == [
        "Method",
        *("Energy to 90 %, J", "To 90 %, relative to dense"),
        *("Energy to 95 %, J", "To 95 %, relative to dense"),
        *("Energy to 99 %, J", "To 99 %, relative to dense"),
    ]
    dense, bird, snip = table.rows
    assert list(table.arms) == [row[0].text for row in table.rows]
    assert [cell.text for cell in dense[2::2]] == ["1", "1", "1"]
    assert dense[3].value == pytest.approx(76 / 3)
    assert bird[3].text == "21.5"
    assert bird[3].note.endswith("; 2 of 3 seeds")
    assert (bird[5].text, bird[5].note) == ("21.0", "1 of 3 seeds")
    assert [cell.text for cell in snip[1:]] == ["not reached", "–"] * 3
    assert (
        "the 80.0 % that dense ends with (mean over seeds): 72.0, 76.0 and 79.2 %" in table.legend
    )
    assert table.numeric == [False, *[True] * 6]
    estimated = targets(make())
    assert estimated is not None
    assert estimated.header[1] == "Energy (estimated) to 90 %, J"


def test_words_for_what_was_reached() -> None:
    means = found(by_hand({"dense": [[70, 80], [80, 80]], "snip": [[80, 80], [10, 10]]}))
    assert reached(means["dense", 0.9]) == "16.5 J"
    assert reached(means["snip", 0.9]) == "11.0 J (1 of 2 seeds)"
    assert (
        reached(replace(means["snip", 0.9], energy_j=means["snip", 0.9].energy_j)) != "not reached"
    )
    none = found(by_hand({"dense": [[80.0]], "snip": [[10.0]]}))
    assert reached(none["snip", 0.9]) == "not reached"
    assert (listed(["90"]), listed(["90", "95", "99"])) == ("90", "90, 95 and 99")


def drawn(results: StudyResults) -> Figured:
    figured = score_curves.draw(results)
    assert figured is not None
    return figured


def svg(figure: Figure) -> str:
    text = io.StringIO()
    with style.printed():
        figure.savefig(text, format="svg")
    return text.getvalue()


@pytest.fixture(
    scope="module",
    params=[["dense"], list(PLANS), TWELVE, SWEEPS, list(PLANS)[1:]],
    ids=["one", "four", "twelve", "sweeps", "no baseline"],
)
def study(request: pytest.FixtureRequest) -> StudyResults:
    return make({arm: arm.split(" ")[0] for arm in request.param})


@pytest.fixture(scope="module")
def figured(study: StudyResults) -> Figured:
    return drawn(study)


def test_every_arm_is_named_once(study: StudyResults, figured: Figured) -> None:
    figure = figured.figure
    written = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    flat = ["".join(text.split()) for text in (*written, *titles, *legends)]
    names = {
        "early_bird(30,50,70%)",
        "progressive(30,50,70%)",
        "lottery_ticket(30,50,70%)",
        "dense",
    }
    if study.arms != SWEEPS:
        names = {"".join(arm.split()) for arm in study.arms}
    for name in names:
        assert sum(text in (name, f"{name},ineverypanel") for text in flat) == 1


def test_nothing_is_clipped_and_no_label_overlaps(figured: Figured) -> None:
    figure = figured.figure
    with style.printed():
        figure.draw_without_rendering()
        renderer = renderer_of(figure.axes[0])
        boxes = [t.get_window_extent(renderer) for axes in figure.axes for t in axes.texts]
        boxes += [axes._left_title.get_window_extent(renderer) for axes in figure.axes]
        boxes += [axes.xaxis.label.get_window_extent(renderer) for axes in figure.axes]
        boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
        whole = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    boxes = [box for box in boxes if box.width > 0]
    page = figure.bbox.padded(0.5)
    for box in (whole, *boxes):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_many_arms_are_drawn_in_panels_with_the_baseline_in_each() -> None:
    results = make({arm: arm.split(" ")[0] for arm in SWEEPS}, source="counter")
    figured = drawn(results)
    assert len(figured.figure.axes) == 3
    grey = style.arm_styles(SWEEPS, "dense")["dense"].shaded
    for axes in figured.figure.axes:
        assert sum(line.get_color() == grey for line in axes.lines) == 1
        # The ends of early_bird and of lottery_ticket lie too close together to be means apart.
        levels = [text.get_text() for text in axes.texts]
        assert sorted(levels) in ([], ["30 %", "50 %", "70 %"])
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in figured.figure.axes}
    assert len(limits) == 1
    assert "the darker prunes more" in figured.caption


def test_a_line_is_bold_from_the_final_shape_on() -> None:
    accuracies = {"dense": [[70, 75, 80]] * 2, "early_bird": [[60, 70, 65, 78]] * 2}
    results = by_hand(accuracies, {"dense": [0, 0], "early_bird": [2, 2]})
    figured = drawn(results)
    colour = style.arm_styles(results.arms, "dense")["early_bird"].shaded
    lines = [
        line
        for line in figured.figure.axes[0].lines
        if line.get_color() == colour and len(line.get_xdata()) > 1
    ]
    thin, bold = sorted(lines, key=lambda line: line.get_linewidth())
    assert thin.get_ydata() == pytest.approx([60, 70, 65])
    assert bold.get_ydata() == pytest.approx([65, 78])
    assert bold.get_xdata() == pytest.approx([31.5, 41.5])
    means = figured.frame[figured.frame["kind"] == "mean"].set_index("arm")
    assert means.loc["early_bird", "final_shape"].tolist() == [False, False, True, True]


def test_targets_are_marked_and_named() -> None:
    results = by_hand(
        {"dense": [[70, 76, 80], [72, 78, 80]], "early_bird": [[77, 80, 79], [60, 70, 76.5]]}
    )
    figured = drawn(results)
    axes = figured.figure.axes[0]
    across = sorted(
        float(line.get_ydata()[0]) for line in axes.lines if line.get_color() == style.MUTED
    )
    assert across == pytest.approx([72, 76, 79.2])
    assert axes.get_ylim()[0] < 72
    high = drawn(by_hand({"dense": [[79, 80]], "early_bird": [[79, 80]]}))
    assert 0 < high.figure.axes[0].get_ylim()[0] < 72
    means = next(tip for tip in figured.marks.tips.values() if "early_bird, mean" in tip)
    assert "Energy to 90 %: 21.5 J, to 95 %: 21.5 J, to 99 %: 21.0 J (1 of 2 seeds)" in means
    assert "early_bird ends at 77.8 % after 31.5 J (95 % of dense at 21.5 J)." in figured.alt
    assert "90, 95 and 99 % of the accuracy that dense ends with" in figured.caption
    assert "Dashed" not in drawn(make(list(PLANS)[1:])).caption


def test_every_mark_is_a_group_of_the_drawing() -> None:
    figured = drawn(make())
    text = svg(figured.figure)
    assert all(f'<g id="{gid}"' in text for gid in figured.marks.arms)
    assert set(figured.marks.arms.values()) == {0, 1, 2, 3}
    assert len(figured.marks.tips) == 4 * 3 + 4


def repeated(arms: Sequence[str], seeds: int, evaluations: int) -> StudyResults:
    """A large study, with noise, as quickly as possible."""
    one = make({arm: arm.split(" ")[0] for arm in arms}, seeds=1, source="counter")
    rng = np.random.default_rng(0)
    steps = np.arange(1, evaluations + 1)
    shape = (len(arms), seeds, evaluations)
    energy_j = np.cumsum(1 + 0.1 * rng.random(shape), axis=2)
    accuracy = 0.98 - 0.5 * np.exp(-steps / 20) + 0.004 * rng.standard_normal(shape)
    keys = pd.MultiIndex.from_product(
        [arms, range(seeds), steps - 1], names=["arm", "seed", "order"]
    )
    curves = keys.to_frame(index=False).assign(
        method="", phase="train", energy_j=energy_j.ravel(), val_score=accuracy.ravel()
    )
    return replace(
        one,
        runs=pd.concat([one.runs.assign(seed=seed) for seed in range(seeds)], ignore_index=True),
        curves=curves.assign(epochs_trained=curves["order"] + 1),
    )


def vertices(figure: Figure) -> int:
    lines = [len(line.get_xdata()) for axes in figure.axes for line in axes.lines]
    bands = [
        len(path.vertices)
        for axes in figure.axes
        for band in axes.collections
        for path in band.get_paths()
    ]
    return sum(lines) + sum(bands)


def test_a_thousand_runs_make_a_small_figure() -> None:
    figured = drawn(repeated(list(PLANS), seeds=250, evaluations=160))
    assert len(figured.figure.axes[0].lines) == 4 + 4 + 3
    assert vertices(figured.figure) < 4 * 3 * 160 + 100
    assert len(svg(figured.figure)) < 300_000
    assert figured.frame["kind"].unique().tolist() == ["mean"]
    assert len(figured.frame) == 4 * 160
    assert "too many to be drawn one by one" in figured.caption


def test_long_runs_of_many_arms_make_a_small_figure() -> None:
    arms = ["dense", *(f"early_bird window={i}" for i in range(21))]
    figured = drawn(repeated(arms, seeds=5, evaluations=640))
    assert vertices(figured.figure) < 2.2 * VERTICES
    assert len(svg(figured.figure)) < 350_000
    runs = figured.frame[figured.frame["kind"] == "run"]
    assert len(runs) == 22 * 5 * 640


@pytest.mark.parametrize(
    ("arms", "seeds", "single"), [(2, 12, True), (2, 13, False), (11, 12, False)]
)
def test_too_many_runs_are_not_drawn_each(arms: int, seeds: int, *, single: bool) -> None:
    labels = ["dense", *(f"early_bird window={i}" for i in range(arms - 1))]
    figured = drawn(repeated(labels, seeds=seeds, evaluations=5))
    assert set(figured.frame["kind"]) == ({"run", "mean"} if single else {"mean"})
    assert ("Faint: each run." in figured.caption) == single


def test_energies_far_apart_get_a_logarithmic_axis() -> None:
    results = repeated(["dense", "snip"], seeds=2, evaluations=5)
    curves = results.curves.copy()
    curves.loc[curves["arm"] == "snip", "energy_j"] *= 1e6
    figured = drawn(replace(results, curves=curves))
    assert figured.figure.axes[0].get_xscale() == "log"
    assert "The energy axis is logarithmic." in figured.caption
    svg(figured.figure)
    still = drawn(replace(results, curves=curves.assign(energy_j=0.0)))
    assert still.figure.axes[0].get_xscale() == "linear"


def test_a_study_without_curves_has_no_figure() -> None:
    results = make()
    assert score_curves.draw(replace(results, curves=results.curves.iloc[:0])) is None
    unknown = results.curves.assign(energy_j=math.nan)
    assert score_curves.draw(replace(results, curves=unknown)) is None
