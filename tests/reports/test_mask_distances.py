"""How masks settle: the matrix of distances, and the distances against epsilon."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from reports.figures import mask_distances, ticket_emergence
from reports.plotting import style
from reports.text.captions import Ticket, epsilon_of, ticket_of
from tests.reports.details import detailed
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults

MODULES: list[Any] = [mask_distances, ticket_emergence]
LONG = ["dense"] + [
    f"early_bird prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=0.000{i}" for i in range(1, 14)
]
ODD = dict.fromkeys(["$x_1^{", "a<b>&c", "_hidden", "x" * 60], "early_bird") | {"dense": "dense"}


def searched(
    arms: Any = ("dense", "early_bird"), seeds: int = 3, **columns: list[Any]
) -> StudyResults:
    """A study whose searches recorded these facts, a value a seed."""
    results = detailed(make(arms, seeds))
    runs = results.runs.copy()
    for column, values in columns.items():
        known = [values[seed] for seed in runs["seed"]]
        runs[column] = pd.Series(known, dtype="boolean" if column == "ticket_emerged" else float)
        runs.loc[runs["method"] != "early_bird", column] = pd.NA
    return replace(results, runs=runs)


FACTS: dict[str, list[Any]] = {
    "ticket_epoch": [8, 7, 8],
    "ticket_emerged": [True, True, False],
    "max_distance": [0.1, 0.1, 0.1],
}


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return searched(**FACTS)


def test_a_ticket_is_read_from_the_facts_of_its_run(study: StudyResults) -> None:
    assert ticket_of(study, "early_bird", 1) == Ticket(7, emerged=True)
    assert ticket_of(study, "early_bird", 2) == Ticket(8, emerged=False)
    assert ticket_of(study, "dense", 0) is None
    assert ticket_of(study, "early_bird", 9) is None
    assert ticket_of(searched(), "early_bird", 0) is None
    assert ticket_of(searched(ticket_epoch=[4.0, 4.0, 4.0]), "early_bird", 0) == Ticket(4, True)
    assert epsilon_of(study, "early_bird") == 0.1
    assert epsilon_of(study, "dense") is None
    assert epsilon_of(searched(), "early_bird") is None


def test_the_matrix_is_that_of_the_close_up(study: StudyResults) -> None:
    figured = mask_distances.draw(study)
    assert figured is not None
    panel, bar = figured.figure.axes
    [image] = panel.images
    close_up = study.close_ups["early_bird"]
    assert np.array_equal(image.get_array(), close_up.mask_distances)
    assert image.get_cmap().name == "cividis"
    assert image.get_clim() == (0.0, close_up.mask_distances.max())
    assert image.get_interpolation() == "none"
    assert "share of channels" in bar.get_ylabel()
    pairs = figured.frame.set_index(["epoch", "later_epoch"])["distance"]
    assert len(pairs) == 8 * 7 / 2
    assert pairs[2, 5] == close_up.mask_distances[1, 4]


@pytest.mark.parametrize(
    ("epoch", "emerged", "crossed", "title"),
    [
        (8, True, 7, "drawn after epoch 8"),
        (3, True, 2, "drawn after epoch 3"),
        (8, False, 7, "taken after epoch 8, never under ε"),
    ],
)
def test_the_cross_hair_is_at_the_drawn_epoch(
    epoch: int, emerged: bool, crossed: int, title: str
) -> None:
    figured = mask_distances.draw(searched(ticket_epoch=[epoch] * 3, ticket_emerged=[emerged] * 3))
    assert figured is not None
    panel = figured.figure.axes[0]
    across = [line.get_ydata() for line in panel.lines if len(set(line.get_ydata())) == 1]
    down = [line.get_xdata() for line in panel.lines if len(set(line.get_xdata())) == 1]
    assert {value for line in (*across, *down) for value in line} == {crossed}
    assert title in panel.get_title(loc="left")
    assert title in figured.alt


def test_without_a_drawn_epoch_there_is_no_cross_hair() -> None:
    for results in (searched(), searched(ticket_epoch=[0.0] * 3)):
        figured = mask_distances.draw(results)
        assert figured is not None
        assert not figured.figure.axes[0].lines


def test_ticks_name_epochs_and_not_looks() -> None:
    results = searched()
    close_ups = {
        arm: replace(each, mask_epochs=each.mask_epochs * 5)
        for arm, each in results.close_ups.items()
    }
    figured = mask_distances.draw(replace(results, close_ups=close_ups))
    assert figured is not None
    panel = figured.figure.axes[0]
    named = {
        text.get_text(): place
        for place, text in zip(panel.get_xticks(), panel.get_xticklabels(), strict=True)
    }
    assert named == {"10": 1, "20": 3, "30": 5, "40": 7}


def test_emergence_shows_each_seed_the_means_and_epsilon(study: StudyResults) -> None:
    figured = ticket_emergence.draw(study)
    assert figured is not None
    [panel] = figured.figure.axes
    rows = study.tickets
    largest = [rows[rows["seed"] == seed]["largest_distance"] for seed in range(3)]
    heights = [np.asarray(line.get_ydata(), dtype=float) for line in panel.lines]
    lines = [each[np.isfinite(each)] for each in heights]
    for own in largest:
        assert any(np.array_equal(line, own.dropna()) for line in lines)
    by_epoch = rows.groupby("epochs_trained")[["distance", "largest_distance"]].mean()
    for column in by_epoch:
        expected = by_epoch[column].dropna()
        assert any(len(line) == len(expected) and np.allclose(line, expected) for line in lines)
    assert any(list(line) == [0.1, 0.1] for line in lines)
    assert panel.get_ylim()[0] == 0


def test_the_mean_ends_with_the_first_search_that_ends() -> None:
    results = searched()
    longest = results.tickets["seed"] == 0
    short = results.tickets[longest | (results.tickets["epochs_trained"] <= 6)]
    figured = ticket_emergence.draw(replace(results, tickets=short))
    assert figured is not None
    bold = [line for line in figured.figure.axes[0].lines if line.get_linewidth() == 2.0]
    assert [list(line.get_xdata()) for line in bold] == [[5, 6]]


def test_marks_tell_when_each_ticket_was_drawn(study: StudyResults) -> None:
    figured = ticket_emergence.draw(study)
    assert figured is not None
    marks = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])): line.get_markerfacecolor()
        for line in figured.figure.axes[0].lines
        if line.get_marker() != "None"
    }
    at = study.tickets.set_index(["seed", "epochs_trained"])["largest_distance"]
    assert set(marks) == {(8.0, at[0, 8]), (7.0, at[1, 7]), (8.0, at[2, 8])}
    assert marks[8.0, at[2, 8]] == "white"
    assert marks[8.0, at[0, 8]] != "white"
    assert sorted(figured.marks.tips.values()) == [
        f"early_bird, seed 0: drawn after epoch 8, distance {at[0, 8]:.3f}",
        f"early_bird, seed 1: drawn after epoch 7, distance {at[1, 7]:.3f}",
        f"early_bird, seed 2: taken after epoch 8, never under ε, distance {at[2, 8]:.3f}",
    ]
    assert "1 of 3 never under ε" in figured.figure.axes[0].get_title(loc="left")
    assert "end of the search" in figured.caption
    assert "n = 3 seeds" in figured.caption


def test_a_search_too_short_for_its_window_is_marked_at_the_last_distance() -> None:
    results = searched(**FACTS | {"ticket_epoch": [3, 3, 3], "ticket_emerged": [False] * 3})
    short = results.tickets[results.tickets["epochs_trained"] <= 3]
    figured = ticket_emergence.draw(replace(results, tickets=short))
    assert figured is not None
    heights = [
        float(line.get_ydata()[0])
        for line in figured.figure.axes[0].lines
        if line.get_marker() != "None"
    ]
    assert heights == short[short["epochs_trained"] == 3]["distance"].tolist()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_drawn_where_no_arm_looked_at_masks(module: Any) -> None:
    assert module.draw(searched(["dense", "progressive"])) is None
    assert module.draw(make()) is None


@pytest.mark.parametrize("module", MODULES)
def test_failed_runs_are_left_out(module: Any) -> None:
    results = detailed(make(["dense", "early_bird"], failed=[("early_bird", 1)]))
    assert 1 not in module.draw(results).frame["seed"].tolist()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("arms", [LONG[:2], LONG[:5], LONG, ODD], ids=["1", "4", "13", "odd"])
def test_figures_can_be_read_and_hidden_arm_by_arm(module: Any, arms: Any) -> None:
    results = searched(arms, **FACTS)
    figured = module.draw(results)
    assert_readable(figured.figure)
    shown = [arm for arm in results.arms if arm != "dense"][:12]
    assert list(dict.fromkeys(figured.frame["arm"])) == shown
    assert ("the first 12 of 13" in figured.caption) == (len(shown) < len(results.arms) - 1)
    numbers = {results.arms.index(arm) for arm in shown}
    assert set(figured.marks.arms.values()) == numbers
    panels = {axes.get_gid() for axes in figured.figure.axes} & figured.marks.arms.keys()
    assert len(panels) == len(shown)


def test_a_long_search_stays_a_small_file(tmp_path: Path) -> None:
    results = searched(LONG, seeds=1)
    rng = np.random.default_rng(0)
    place = np.cumsum(rng.random(160)) / 160
    close_ups = {
        arm: replace(
            each,
            mask_epochs=np.arange(1, 161),
            mask_distances=np.abs(place[:, None] - place[None, :]),
        )
        for arm, each in results.close_ups.items()
        if arm != "dense"
    }
    figured = mask_distances.draw(replace(results, close_ups=close_ups))
    assert figured is not None
    style.save(figured.figure, figured.frame, tmp_path, "matrix")
    assert (tmp_path / "matrix.svg").stat().st_size < 700_000
    assert (tmp_path / "matrix.svg").read_text().count("<image") >= 12


@pytest.mark.parametrize("module", MODULES)
def test_the_same_results_give_the_same_bytes(
    module: Any, study: StudyResults, tmp_path: Path
) -> None:
    assert_same_bytes(lambda: module.draw(study), tmp_path)
