"""Figures: what they show adds up, nothing overlaps or is clipped, and bytes repeat."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from reports.data import Stage
from reports.figures import energy_phases
from reports.figures.gallery import FIGURES
from reports.plotting import style
from reports.plotting.labels import Anchor, freeze, place
from reports.plotting.phase_colours import number, phase_colours, stem
from tests.reports.details import detailed
from tests.reports.readable_figure import assert_readable
from tests.reports.synthetic import PLANS, make

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

LONG = ["dense"] + [
    f"{method} prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=0.000{i}"
    for i, method in enumerate(["early_bird"] * 4 + ["progressive"] * 4 + ["lottery_ticket"] * 3)
]
STUDIES = {"one": ["dense"], "four": list(PLANS), "twelve": LONG}
OF_MASKS = {"mask_distances", "ticket_emergence"}
"""Figures that show no energy."""
OF_SEVERAL = {*OF_MASKS, "paired_differences", "break_even", "lifetime", "decomposition"}
"""Figures that say nothing of dense alone."""
NAMES = sorted(FIGURES.keys() - {"matched_score"})
"""That one needs methods at several levels, and has its own tests."""


def whole(results: StudyResults) -> StudyResults:
    """The study with all that any figure shows."""
    runs = results.runs
    searching = runs["method"].isin(["early_bird", "progressive"])
    runs["search_j"] = np.where(searching, 0.3 * runs["energy_j"], 0.0)
    runs["search_epochs"] = np.where(searching, 4, 0)
    runs["test_j"] = 0.9 * runs["macs"] / runs["dense_macs"]
    runs["test_samples"] = 360
    runs["inference_j"] = runs["test_j"] / 360 * (1 + 0.01 * runs["seed"])
    runs["inference_gain_j"] = 0.05 * runs["inference_j"]
    runs["inference_source"] = runs["energy_source"]
    runs["inference_host"] = runs["host"]
    runs[["inference_runtime", "inference_device", "inference_gpus"]] = "pytorch", "cpu", ""
    runs[["inference_threads", "inference_batch"]] = 1, 1
    runs["max_distance"] = 0.1
    runs["ticket_epoch"] = 8
    stages = (Stage("", results.arms[0]), *(Stage(f"to {n}", n) for n in results.arms[1:4]))
    return replace(detailed(results), decomposition=stages)


@dataclass(frozen=True)
class Saved:
    """A figure of the four methods, and the folder that it was saved in."""

    figured: Figured
    folder: Path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Saved]:
    """Every figure drawn and saved once, for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("saved")
    results = whole(make())

    @functools.cache
    def draw(name: str) -> Saved:
        figured = FIGURES[name](results)
        assert figured is not None
        style.save(figured.figure, figured.frame, folder, name)
        return Saved(figured, folder)

    return draw


@pytest.fixture(scope="module", params=list(STUDIES))
def study(request: pytest.FixtureRequest) -> tuple[str, StudyResults]:
    return request.param, whole(make(STUDIES[request.param]))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_clipped_and_no_label_overlaps(
    name: str, study: tuple[str, StudyResults]
) -> None:
    size, results = study
    figured = FIGURES[name](results)
    if size == "one" and name in OF_SEVERAL:
        assert figured is None
    else:
        assert figured is not None
        assert_readable(figured.figure)


def test_the_collision_test_can_fail() -> None:
    with style.printed():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        freeze(figure)
        anchor = Anchor("a name", 0.5, 0.5, (0, 0, 0))
        assert place(axes, [anchor], [])
        assert not place(axes, [anchor], [axes.bbox])
        assert len(axes.texts) == 1


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
    ("source", "estimated", "label"),
    [("estimated", True, "Estimated energy"), ("counter", False, "Energy")],
)
def test_estimates_look_different(source: str, estimated: bool, label: str) -> None:
    results = whole(make(source=source))
    axes = FIGURES["energy_phases"](results).figure.axes[0]
    assert axes.get_xlabel().startswith(label)
    assert all(bool(patch.get_hatch()) == estimated for patch in axes.patches)
    for name in set(NAMES) - OF_MASKS:
        figured = FIGURES[name](results)
        texts = " ".join(text.get_text() for text in figured.figure.findobj(Text))
        assert ("stimated" in texts) == estimated, name
        assert ("Assumptions: 2 threads" in figured.caption) == estimated, name


@pytest.mark.parametrize("name", sorted(set(NAMES) - OF_MASKS))
def test_simulated_is_written_across(name: str, saved: Callable[[str], Saved]) -> None:
    simulated = FIGURES[name](whole(make(source="simulated"))).figure
    for figure, is_marked in ((simulated, True), (saved(name).figured.figure, False)):
        assert ("SIMULATED" in [text.get_text() for text in figure.texts]) == is_marked


@pytest.mark.parametrize("name", sorted(set(NAMES) - OF_MASKS))
def test_captions_say_what_they_must(name: str, saved: Callable[[str], Saved]) -> None:
    caption = saved(name).figured.caption
    # A trial is one run, and nothing is averaged over trials.
    counted = ("one seed each",) if name == "tuning_sensitivity" else ("n = 3", "interval")
    for part in (*counted, "scope: cpu", "source: estimated", "device: 2 CPU threads"):
        assert part in caption
    assert "ncertainty" in caption
    alone = FIGURES[name](whole(make(seeds=1)))
    assert "no interval" in alone.caption


def test_failed_runs_are_in_no_figure() -> None:
    results = whole(make(failed=[("early_bird", 1)]))
    for name in NAMES:
        frame = FIGURES[name](results).frame
        if "seed" in frame:
            bird = frame[frame["arm"] == "early_bird"]
            assert 1 not in bird["seed"].dropna().tolist()


def test_nothing_finished_is_no_figure() -> None:
    results = make(failed=[(arm, seed) for arm in PLANS for seed in range(3)])
    assert not any(draw(whole(results)) for draw in FIGURES.values())


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


@pytest.mark.parametrize("name", NAMES)
def test_saved_twice_is_the_same_to_the_byte(
    name: str, tmp_path: Path, saved: Callable[[str], Saved]
) -> None:
    figured = FIGURES[name](whole(make()))
    style.save(figured.figure, figured.frame, tmp_path, name)
    for suffix in ("svg", "pdf", "png", "csv"):
        first = (saved(name).folder / f"{name}.{suffix}").read_bytes()
        assert first == (tmp_path / f"{name}.{suffix}").read_bytes()
        assert b"<metadata" not in first


@pytest.mark.parametrize("name", NAMES)
def test_every_mark_is_in_the_drawing_and_hides_its_arm(
    name: str, saved: Callable[[str], Saved]
) -> None:
    figured, drawing = saved(name).figured, saved(name).folder / f"{name}.svg"
    drawn = set(re.findall(r'id="(mark-\d+)"', drawing.read_text("utf-8")))
    assert drawn == figured.marks.arms.keys()
    assert figured.marks.tips or name == "mask_distances"
    arms = {0, 1, 2, 3} if name not in OF_SEVERAL else {3}
    assert arms <= set(figured.marks.arms.values())


def test_figures_leave_the_global_settings_alone() -> None:
    before = dict(mpl.rcParams)
    results = whole(make())
    for draw in FIGURES.values():
        draw(results)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_drawn_as_they_are(name: str, tmp_path: Path) -> None:
    odd = ["dense", "$x_1^{", "a<b>&c", "_hidden"]
    figured = FIGURES[name](whole(make(dict.fromkeys(odd, "early_bird"))))
    style.save(figured.figure, figured.frame, tmp_path, name)
    frame = pd.read_csv(tmp_path / f"{name}.csv")
    assert set(frame["arm"].dropna()) <= set(odd)
    assert_readable(figured.figure)
