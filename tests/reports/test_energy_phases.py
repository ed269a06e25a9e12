"""Stacked bars: segments tile, whatever the study; names and legends can be read."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.data import StudyResults
from reports.figures import energy_phases
from reports.figures.energy_phases import _frame
from reports.plotting.phase_colours import legend, phase_colours
from tests.reports.readable_figure import assert_readable
from tests.reports.synthetic import make

LABELS = ["train", "search", "level 3", "level 12", "inspect", "shrink", "lost", "overhead", "a_$<"]


def with_phases(results: StudyResults, phases: pd.DataFrame) -> StudyResults:
    """The same runs with other phases, whose energies add up to theirs."""
    sums = phases.groupby(["arm", "seed"])["energy_j"].sum()
    runs = results.runs.copy()
    runs["energy_j"] = [
        float(sums.get((arm, seed), np.nan))
        for arm, seed in zip(runs["arm"], runs["seed"], strict=True)
    ]
    return replace(results, runs=runs, phases=phases)


@st.composite
def studies(draw: st.DrawFn) -> StudyResults:
    """One to three arms of one to four seeds with any phases; one run may have failed."""
    arms, seeds = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    labels = ["dense", "b", "c"][:arms]
    results = make(labels, seeds=seeds)
    rows = [
        {"arm": arm, "method": arm, "seed": seed, "phase": phase, "energy_j": energy_j}
        for arm in labels
        for seed in range(seeds)
        for phase in draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=8))
        for energy_j in [draw(st.floats(0, 1e6))]
    ]
    results = with_phases(results, pd.DataFrame(rows).assign(duration_s=1.0))
    if seeds > 1 and draw(st.booleans()):
        results.runs.loc[0, "status"] = "failed"
    return results


@settings(derandomize=True, deadline=None, max_examples=60)
@given(studies())
def test_segments_add_up_to_the_mean_energy_of_the_arm(results: StudyResults) -> None:
    frame = _frame(results)
    for arm in results.finished_arms:
        expected = np.mean(list(results.by_seed(arm, "energy_j").values()))
        total = frame.loc[frame["arm"] == arm, "energy_j"].sum()
        assert total == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert not frame.duplicated(["arm", "phase"]).any()
    assert list(dict.fromkeys(frame["arm"])) == results.finished_arms


@settings(derandomize=True, deadline=None, max_examples=12)
@given(studies())
def test_drawn_segments_tile_their_bar(results: StudyResults) -> None:
    figured = energy_phases.draw(results)
    assert figured is not None
    axes = figured.figure.axes[0]
    unit = {"J": 1.0, "kJ": 1e3, "MJ": 1e6}[axes.get_xlabel().split("(")[1].rstrip(")")]
    for row, arm in enumerate(results.finished_arms):
        bars = sorted(
            (b.get_x(), b.get_x() + b.get_width())
            for b in axes.patches
            if isinstance(b, Rectangle) and b.get_y() < row < b.get_y() + b.get_height()
        )
        expected = np.mean(list(results.by_seed(arm, "energy_j").values())) / unit
        assert bars[0][0] == pytest.approx(0, abs=1e-9)
        assert max(end for _, end in bars) == pytest.approx(expected, abs=1e-9)
        # One that is nothing wide has no place of its own among the others.
        wide = [bar for bar in bars if bar[1] - bar[0] > 1e-9]
        assert all(a[1] == pytest.approx(b[0], abs=1e-8) for a, b in pairwise(wide))
        assert bars[-1][1] <= axes.get_xlim()[1]


def levels(count: int, arms: int) -> StudyResults:
    """Arms with 60 letters in their names, all of which prune in several levels."""
    labels = [
        "dense",
        *(f"lottery_ticket rounds={count} prune_ratio=0.{i:040d}" for i in range(arms - 1)),
    ]
    results = make(labels)
    phases = results.phases
    trained = phases["phase"].str.match(r"train|level|round|search|retrain")
    parts = [phases[~trained]]
    for level in range(count):
        part = phases[trained].drop_duplicates(["arm", "seed"])
        parts.append(part.assign(phase=f"level {level}", energy_j=part["energy_j"] / 2))
    return with_phases(results, pd.concat(parts, ignore_index=True))


@pytest.fixture(scope="module", params=[(40, 4), (3, 12), (40, 12)], ids=str)
def crowded(request: pytest.FixtureRequest) -> Figure:
    figured = energy_phases.draw(levels(*request.param))
    assert figured is not None
    assert len(figured.marks.tips) < 12 * 60
    return figured.figure


def test_many_levels_and_arms_stay_readable(crowded: Figure) -> None:
    assert_readable(crowded)
    [drawn] = crowded.legends
    axes = crowded.axes[0]
    assert drawn.get_window_extent().y1 <= axes.get_window_extent().y0
    assert "level 0–" in " ".join(text.get_text() for text in drawn.get_texts())


def test_250_seeds_an_arm_are_averaged_as_few_are() -> None:
    results = make(seeds=250)
    figured = energy_phases.draw(results)
    assert figured is not None
    assert figured.frame.loc[figured.frame["arm"] == "dense", "energy_j"].sum() == pytest.approx(
        np.mean(list(results.by_seed("dense", "energy_j").values()))
    )


def test_tips_tell_energy_and_share() -> None:
    results = make(["dense", "early_bird"])
    figured = energy_phases.draw(results)
    assert figured is not None
    frame = figured.frame[figured.frame["arm"] == "early_bird"].set_index("phase")["energy_j"]
    share = 100 * frame["search"] / frame.sum()
    [tip] = [tip for tip in figured.marks.tips.values() if tip.startswith("early_bird, search")]
    assert tip == f"early_bird, search: {frame['search']:.1f} J, {share:.0f} %"
    totals = [tip for tip in figured.marks.tips.values() if "n = 3" in tip]
    assert [tip.split(":")[0] for tip in totals] == ["dense", "early_bird"]
    assert "95 % CI" in totals[0]
    assert set(figured.marks.arms.values()) == {0, 1}


def test_energy_that_is_not_known_is_no_bar() -> None:
    results = make(["dense", "early_bird"])
    runs = results.runs.copy()
    runs.loc[runs["arm"] == "early_bird", "energy_j"] = np.nan
    phases = results.phases[results.phases["arm"] != "early_bird"]
    figured = energy_phases.draw(replace(results, runs=runs, phases=phases))
    assert figured is not None
    assert set(figured.frame["arm"]) == {"dense"}
    runs["energy_j"] = np.nan
    assert energy_phases.draw(replace(results, runs=runs, phases=phases.iloc[:0])) is None


def test_the_divisor_is_every_run_whose_energy_is_known() -> None:
    results = make(["dense"])
    runs = results.runs.copy()
    runs.loc[runs["seed"] == 2, "energy_j"] = np.nan
    phases = results.phases[results.phases["seed"] != 2]
    frame = _frame(replace(results, runs=runs, phases=phases))
    assert frame["energy_j"].sum() == pytest.approx(runs["energy_j"].mean())


@pytest.mark.parametrize("scale", [1e-5, 1e7])
def test_extreme_energies_are_reported_in_their_own_unit(scale: float) -> None:
    figured = energy_phases.draw(make(["dense", "early_bird"], scale=scale))
    assert figured is not None
    assert_readable(figured.figure)
    labels = [text.get_text() for text in figured.figure.axes[0].texts]
    assert ("0.000934 J" if scale < 1 else "934 MJ") in labels


def test_a_phase_of_its_own_name_has_a_colour_of_its_own() -> None:
    names = [f"phase {chr(97 + n)}" for n in range(20)]
    colours = phase_colours(["train", "search", *names])
    assert len(set(colours.values())) == len(colours)
    assert set(legend(colours)) == set(colours)
    assert colours["train"] == phase_colours(["train"])["train"]


def test_a_legend_names_a_stem_once() -> None:
    labels = ["lost", "level 10", "level 2", "warm-up", "train", "round 7", "overhead"]
    colours = phase_colours(labels)
    entries = legend(colours)
    assert list(entries) == ["warm-up", "train", "level 2–10", "round 7", "overhead", "lost"]
    assert entries["level 2–10"] == colours["level 2"]
