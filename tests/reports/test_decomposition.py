"""Decompositions: steps multiply to the total, stages not run are named, the waterfall is right."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from reports.data import Stage
from reports.figures import decomposition as figure
from reports.plotting import style
from reports.plotting.labels import renderer_of
from reports.statistics.decomposition import decompose
from reports.statistics.statistics import paired_ratio
from reports.tables.decomposition import decomposition as table
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

STAGES = (
    Stage("", "lottery_ticket"),
    Stage("one training", "dense"),
    Stage("an early ticket", "early_bird"),
)
LONG = "progressive prune_ratio=0.7 finetune_rate=0.03 l1_gamma=0.0003"


def asked(results: StudyResults, stages: Sequence[Stage] = STAGES) -> StudyResults:
    return replace(results, decomposition=tuple(stages))


def with_energies(columns: dict[str, list[float]], stages: Sequence[Stage]) -> StudyResults:
    results = make(list(columns), seeds=len(next(iter(columns.values()))), source="counter")
    runs = results.runs.copy()
    for arm, joules in columns.items():
        runs.loc[runs["arm"] == arm, "energy_j"] = joules
    return asked(replace(results, runs=runs), stages)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda seeds: st.lists(
            st.lists(st.floats(1e-3, 1e9), min_size=seeds, max_size=seeds), min_size=2, max_size=5
        )
    )
)
def test_steps_multiply_to_the_total(columns: list[list[float]]) -> None:
    arms = {f"dense x={number}": joules for number, joules in enumerate(columns)}
    stages = [Stage(f"factor {n}" if n else "", arm) for n, arm in enumerate(arms)]
    found = decompose(with_energies(arms, stages))
    assert found is not None
    steps = [reached.step.mean for reached in found.measured if reached.step is not None]
    assert len(steps) == len(arms) - 1
    assert math.prod(steps) == pytest.approx(found.total.mean, rel=1e-9)
    first, *_, last = found.measured
    assert last.energy_j.mean / first.energy_j.mean == pytest.approx(found.total.mean, rel=1e-9)
    assert last.so_far is not None
    assert last.so_far.mean == found.total.mean
    for before, after in pairwise(found.measured):
        ratio = after.energy_j.mean / before.energy_j.mean
        assert after.step is not None
        assert after.step.mean == pytest.approx(ratio, rel=1e-9)


def test_a_step_is_the_paired_ratio_of_its_two_arms() -> None:
    results = asked(make())
    found = decompose(results)
    assert found is not None
    dense, early = results.by_seed("dense", "energy_j"), results.by_seed("early_bird", "energy_j")
    assert found.measured[2].step == paired_ratio(early, dense)
    accuracies = results.by_seed("early_bird", "test_score").values()
    assert found.measured[2].score.mean == pytest.approx(np.mean(list(accuracies)))


def test_only_seeds_that_every_stage_has_are_used() -> None:
    found = decompose(asked(make(seeds=4, failed=[("dense", 1), ("early_bird", 3)])))
    assert found is not None
    assert found.total.n == 2
    assert {reached.energy_j.n for reached in found.measured} == {2}
    assert {reached.score.n for reached in found.measured} == {2}
    steps = [reached.step.mean for reached in found.measured if reached.step is not None]
    assert math.prod(steps) == pytest.approx(found.total.mean)


@pytest.mark.parametrize(
    "gone", [Stage("one training", None), Stage("one training", "progressive")]
)
def test_a_stage_that_was_not_run_is_reported_and_its_factor_joins_the_next(gone: Stage) -> None:
    failed = [("progressive", seed) for seed in range(3)]
    results = asked(make(failed=failed), [STAGES[0], gone, STAGES[2]])
    found = decompose(results)
    assert found is not None
    assert [level.reached is None for level in found.levels] == [False, True, False]
    assert found.levels[1].factors == ("one training",)
    assert found.levels[2].factors == ("one training", "an early ticket")
    assert found.measured[1].step == found.total
    rows = table(results)
    assert rows is not None
    assert [row[0].text for row in rows.rows][1:] == [
        "one training",
        "one training and an early ticket",
    ]
    assert rows.rows[1][1].text == "not run"
    assert rows.failed == {1}
    assert "one step stands for one training and an early ticket" in rows.legend


def test_without_its_start_it_begins_where_something_was_run() -> None:
    results = asked(make(), [Stage("", None), *STAGES[1:]])
    found = decompose(results)
    assert found is not None
    rows = table(results)
    assert rows is not None
    assert [row[0].text for row in rows.rows] == [
        "start",
        "start, with one training",
        "an early ticket",
    ]
    assert "stands for" not in rows.legend


@pytest.mark.parametrize(
    "results",
    [
        make(),
        asked(make(), [Stage("", None), Stage("one training", None), STAGES[2]]),
        asked(make(failed=[("dense", 0), ("early_bird", 1), ("early_bird", 2)])),
        with_energies(
            {"dense": [0.0, math.nan], "early_bird": [1.0, 2.0]},
            [Stage("", "dense"), Stage("f", "early_bird")],
        ),
    ],
    ids=["none asked", "one stage", "no shared seed", "no logarithm"],
)
def test_where_nothing_can_be_taken_apart_nothing_is_shown(results: StudyResults) -> None:
    assert decompose(results) is None
    assert table(results) is None
    assert figure.draw(results) is None


def test_one_seed_has_no_interval() -> None:
    results = asked(make(seeds=1))
    rows = table(results)
    assert rows is not None
    assert not any(cell.note for row in rows.rows for cell in row)
    figured = figure.draw(results)
    assert figured is not None
    assert "n = 1 seed per stage, so no interval" in figured.caption


def test_energies_of_different_kinds_are_reported() -> None:
    results = make(source="counter")
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "dense", "energy_device"] = "NVIDIA A100"
    rows = table(asked(replace(results, runs=runs)))
    assert rows is not None
    assert "of different kinds (NVIDIA A100 and NVIDIA H200)" in rows.legend


@pytest.fixture(scope="module")
def drawn() -> Figured:
    found = figure.draw(asked(make(source="counter")))
    assert found is not None
    return found


def bars(figured: Figured) -> list[Rectangle]:
    return [patch for patch in figured.figure.axes[0].patches if isinstance(patch, Rectangle)]


def test_bars_join_end_to_end_and_their_lengths_add_up(drawn: Figured) -> None:
    *steps, whole = bars(drawn)
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in (*steps, whole)]
    assert ends[0][1] == pytest.approx(ends[1][0])
    assert (ends[-1][0], ends[-1][1]) == pytest.approx((ends[0][0], ends[1][1]))
    lengths = [math.log(end / start) for start, end in ends]
    assert sum(lengths[:-1]) == pytest.approx(lengths[-1])
    assert drawn.figure.axes[0].get_xscale() == "log"


def test_the_frame_holds_what_is_drawn(drawn: Figured) -> None:
    frame = drawn.frame
    assert list(frame["factor"]) == ["start", "one training", "an early ticket"]
    *steps, _ = bars(drawn)
    drawn_ends = [bar.get_x() + bar.get_width() for bar in steps]
    assert drawn_ends == pytest.approx(list(frame["energy_j"][1:]))
    assert frame["step"].prod() == pytest.approx(frame["so_far"].iloc[-1])
    assert (frame["n"] == 3).all()


def test_every_part_belongs_to_its_arm_and_names_it(drawn: Figured) -> None:
    # Arms are numbered as in the study: dense, progressive, lottery_ticket, early_bird.
    assert set(drawn.marks.arms.values()) == {0, 2, 3}
    tips = set(drawn.marks.tips.values())
    assert any(tip.startswith("early_bird: ") and "× less" in tip for tip in tips)
    assert "From" not in drawn.alt
    assert "in all" in drawn.alt


@pytest.mark.parametrize(
    ("source", "hatched", "label"),
    [
        ("counter", False, "Energy"),
        ("estimated", True, "Estimated energy"),
        ("simulated", True, "Simulated energy"),
    ],
)
def test_what_no_sensor_measured_looks_different(source: str, hatched: bool, label: str) -> None:
    figured = figure.draw(asked(make(source=source)))
    assert figured is not None
    assert all(bool(bar.get_hatch()) == hatched for bar in bars(figured))
    assert figured.figure.axes[0].get_xlabel().startswith(label)
    assert ("Hatched" in figured.caption) == hatched
    marked = [text.get_text() for text in figured.figure.texts]
    assert marked == (["SIMULATED"] if source == "simulated" else [])


DRAWN = {
    "plain": lambda: asked(make(source="simulated")),
    "long": lambda: asked(
        make({"dense": "dense", LONG: "progressive", "early_bird": "early_bird"}, scale=1e7),
        [
            Stage("", "dense"),
            Stage("a factor whose name has forty lettersss", LONG),
            Stage("not there", None),
            Stage("$x_1$ <b>&amp;", "early_bird"),
        ],
    ),
    "equal": lambda: with_energies(
        {"dense": [5.0, 5.0], "early_bird": [5.0, 5.0]},
        [Stage("", "dense"), Stage("nothing", "early_bird")],
    ),
    "tiny": lambda: asked(make(seeds=2, scale=1e-5)),
    "far": lambda: with_energies(
        {"dense": [1e9, 2e9], "early_bird": [1e-3, 1e-3]},
        [Stage("", "dense"), Stage("everything", "early_bird")],
    ),
}


@pytest.mark.parametrize("ratio", [1.001, 1.3, 2.0, 3.4, 3.6, 5.9, 11.9, 12.1, 59.0, 61.0, 3e4])
@pytest.mark.parametrize("least", [1.0, 2.1, 5.1, 9.9])
def test_the_axis_has_two_ticks_at_least_and_they_keep_apart(ratio: float, least: float) -> None:
    figured = figure.draw(
        with_energies(
            {"dense": [1e6 * least * ratio], "early_bird": [1e6 * least]},
            [Stage("", "dense"), Stage("f", "early_bird")],
        )
    )
    assert figured is not None
    axes = figured.figure.axes[0]
    figured.figure.draw_without_rendering()
    renderer = renderer_of(axes)
    low, high = axes.get_xlim()
    ticks = [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [text.get_window_extent(renderer) for text in ticks]
    assert len(boxes) >= 2
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_clipped_and_no_text_overlaps(name: str) -> None:
    figured = figure.draw(DRAWN[name]())
    assert figured is not None
    drawing = figured.figure
    with style.printed():
        drawing.draw_without_rendering()
        axes = drawing.axes[0]
        renderer = renderer_of(axes)
        ticks = [
            text.get_window_extent(renderer)
            for text, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
            if axes.get_xlim()[0] <= place <= axes.get_xlim()[1]
        ]
    assert len(ticks) >= 2
    assert_readable(drawing)
    # The axes keep room enough to see the bars.
    assert axes.get_window_extent(renderer).width > 100


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert_same_bytes(lambda: figure.draw(DRAWN["plain"]()), tmp_path)
