"""Figures: what they show adds up, nothing overlaps or is clipped, and bytes repeat."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import style
from reports.figures import accuracy_curves, accuracy_energy, energy_phases
from reports.figures.curves import mean_curve
from reports.figures.phase_colours import number, phase_colours, stem
from reports.labels import Anchor, freeze, place, renderer_of
from reports.page import FIGURES
from tests.reports.synthetic import PLANS, make

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults

LONG = ["dense"] + [
    f"{method} prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=0.000{i}"
    for i, method in enumerate(["early_bird"] * 4 + ["progressive"] * 4 + ["lottery_ticket"] * 3)
]
STUDIES = {"one": ["dense"], "four": list(PLANS), "twelve": LONG}


@pytest.fixture(scope="module", params=list(STUDIES))
def study(request: pytest.FixtureRequest) -> StudyResults:
    return make(STUDIES[request.param])


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_clipped_and_no_label_overlaps(name: str, study: StudyResults) -> None:
    figure = FIGURES[name](study).figure
    with style.printed():
        figure.draw_without_rendering()
        axes = figure.axes[0]
        renderer = renderer_of(axes)
        # Labels inside the axes take no part in the layout, so they are checked by themselves.
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        whole = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    for box in (whole, *boxes):
        assert box.x0 >= -0.5
        assert box.y0 >= -0.5
        assert box.x1 <= figure.bbox.x1 + 0.5
        assert box.y1 <= figure.bbox.y1 + 0.5
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_the_collision_test_can_fail() -> None:
    with style.printed():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        freeze(figure)
        anchor = Anchor("a name", 0.5, 0.5, (0, 0, 0))
        assert place(axes, [anchor], [])
        assert not place(axes, [anchor], [axes.bbox])
        assert len(axes.texts) == 1


@pytest.mark.parametrize("module", [accuracy_energy, accuracy_curves])
def test_every_arm_is_named_once(module: object, study: StudyResults) -> None:
    figure = module.draw(study).figure  # type: ignore[attr-defined]
    direct = [t.get_text() for t in figure.axes[0].texts]
    legend = [t.get_text() for each in figure.legends for t in each.get_texts()]
    assert not (direct and legend)
    named = [" ".join(text.split()) for text in direct or legend]
    assert sorted(named) == sorted(study.arms)


def test_a_crowd_falls_back_to_a_legend_and_a_few_do_not() -> None:
    assert not accuracy_energy.draw(make()).figure.legends
    assert accuracy_energy.draw(make(LONG)).figure.legends


def test_phases_tile_the_mean_energy_of_each_arm() -> None:
    results = make(failed=[("progressive", 2)])
    figured = energy_phases.draw(results)
    bars = [p for p in figured.figure.axes[0].patches if isinstance(p, Rectangle)]
    for row, arm in enumerate(results.finished_arms):
        expected = np.mean(list(results.by_seed(arm, "energy_j").values()))
        of_arm = figured.frame[figured.frame["arm"] == arm]
        assert of_arm["energy_j"].sum() == pytest.approx(expected)
        mine = sorted(
            (b for b in bars if b.get_y() < row < b.get_y() + b.get_height()),
            key=lambda b: b.get_x(),
        )
        assert sum(b.get_width() for b in mine) == pytest.approx(expected)
        for left, right in pairwise(mine):
            assert left.get_x() + left.get_width() == pytest.approx(right.get_x())


def test_a_phase_of_one_seed_is_shared_among_all() -> None:
    frame = energy_phases.draw(make()).frame
    lost = frame[(frame["arm"] == "dense") & (frame["phase"] == "lost")]
    assert lost["energy_j"].item() == pytest.approx(3.0 / 3)


@pytest.mark.parametrize(
    ("source", "hatched", "label"),
    [("estimated", True, "Estimated energy"), ("counter", False, "Energy")],
)
def test_estimates_look_different(source: str, hatched: bool, label: str) -> None:
    results = make(source=source)
    axes = energy_phases.draw(results).figure.axes[0]
    assert all(bool(patch.get_hatch()) == hatched for patch in axes.patches)
    for draw in FIGURES.values():
        figured = draw(results)
        assert figured.figure.axes[0].get_xlabel().startswith(label)
        assert ("Assumptions: 2 threads" in figured.caption) == hatched


@pytest.mark.parametrize("name", FIGURES)
def test_simulated_is_written_across(name: str) -> None:
    marked = [t.get_text() for t in FIGURES[name](make(source="simulated")).figure.texts]
    assert "SIMULATED" in marked
    assert "SIMULATED" not in [t.get_text() for t in FIGURES[name](make()).figure.texts]


def test_captions_say_what_they_must() -> None:
    for draw in FIGURES.values():
        caption = draw(make()).caption
        for part in ("n = 3 seeds", "Student-t", "scope: cpu", "device: 2 CPU threads"):
            assert part in caption
        assert "no interval" in draw(make(seeds=1)).caption


def test_the_mean_curve_matches_seeds_evaluation_by_evaluation() -> None:
    runs = {
        0: (np.array([10.0, 20.0, 30.0]), np.array([0.4, 0.6, 0.8])),
        1: (np.array([12.0, 24.0]), np.array([0.5, 0.7])),
    }
    curve = mean_curve(runs)
    assert curve["energy_j"].tolist() == [11.0, 22.0]
    assert curve["val_accuracy"].tolist() == pytest.approx([0.45, 0.65])
    assert curve["n"].tolist() == [2, 2]


def test_a_drop_that_every_seed_shows_is_not_smeared_by_their_energies() -> None:
    accuracy = np.array([0.9, 0.2, 0.9])
    runs = {seed: (np.array([10.0, 20.0, 30.0]) * (1 + seed), accuracy) for seed in range(3)}
    assert mean_curve(runs)["val_accuracy"].tolist() == pytest.approx([0.9, 0.2, 0.9])


def test_failed_runs_are_in_no_figure() -> None:
    results = make(failed=[("early_bird", 1)])
    for draw in FIGURES.values():
        frame = draw(results).frame
        if "seed" in frame:
            bird = frame[frame["arm"] == "early_bird"]
            assert 1 not in bird["seed"].dropna().tolist()


def test_styles_do_not_depend_on_order_and_do_not_repeat() -> None:
    styles = style.arm_styles(LONG, "dense")
    assert styles == style.arm_styles(LONG[::-1], "dense")
    assert len(set(styles.values())) == len(LONG)
    assert styles["dense"].colour == style.BASELINE_COLOUR


def test_numbered_labels_share_a_hue_and_differ_in_shade() -> None:
    levels = [f"level {i}" for i in range(12)]
    colours = phase_colours(["train", *levels])
    assert len({colours[label] for label in levels}) == 12
    assert (stem("level 11"), number("level 11")) == ("level", 11)
    assert (stem("train"), number("train"), stem("3")) == ("train", None, "3")


@pytest.mark.parametrize("name", FIGURES)
def test_saved_twice_is_the_same_to_the_byte(name: str, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        figured = FIGURES[name](make())
        style.save(figured.figure, figured.frame, tmp_path / folder, name)
    for suffix in ("svg", "png", "csv"):
        first = (tmp_path / "first" / f"{name}.{suffix}").read_bytes()
        assert first == (tmp_path / "second" / f"{name}.{suffix}").read_bytes()
        assert b"<metadata" not in first


def test_figures_leave_the_global_settings_alone() -> None:
    before = dict(mpl.rcParams)
    for draw in FIGURES.values():
        draw(make(["dense"]))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", FIGURES)
def test_odd_names_are_drawn_as_they_are(name: str, tmp_path: Path) -> None:
    odd = ["dense", "$x_1^{", "a<b>&c", "_hidden"]
    results = make(dict.fromkeys(odd, "early_bird"))
    figured = FIGURES[name](results)
    style.save(figured.figure, figured.frame, tmp_path, name)
    assert set(pd.read_csv(tmp_path / f"{name}.csv")["arm"]) == set(odd)
