"""Performance profiles: shares by hand, what counts as solved, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.figures import performance_profile as figure
from reports.figures.performance_profile import profile, workload_names
from reports.plotting import style
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

KEPT, LOST = [0.9001, 0.9002, 0.9003], [0.80, 0.8001, 0.8002]
DENSE = [0.90, 0.9002, 0.9004]


def study(
    name: str,
    energy: Mapping[str, float],
    lost: Sequence[str] = (),
    source: str = "counter",
    seeds: int = 3,
    **changes: object,
) -> StudyResults:
    """A workload on which each arm needs this many joules; those in `lost` lose accuracy."""
    results = make(list(energy), seeds=seeds, source=source)
    runs = results.runs.copy()
    for arm, joules in energy.items():
        own = runs["arm"] == arm
        accuracy = DENSE if arm == "dense" else LOST if arm in lost else KEPT
        runs.loc[own, "energy_j"] = [joules + 0.01 * seed * joules for seed in range(seeds)]
        runs.loc[own, "test_score"] = accuracy[:seeds]
    return replace(results, study=name, runs=runs, **changes)


@cache
def four() -> list[StudyResults]:
    return [
        study("a", {"dense": 100.0, "early_bird": 50.0, "progressive": 200.0}),
        study("b", {"dense": 10.0, "early_bird": 8.0, "progressive": 20.0}, lost=["progressive"]),
        study("c", {"dense": 3e9, "early_bird": 4e9, "progressive": 9e9}),
        study("d", {"dense": 1e-3, "early_bird": 1e-4, "progressive": 2e-3}, lost=["early_bird"]),
    ]


def test_shares_by_hand() -> None:
    found = profile(four())
    assert found is not None
    ratios = {arm: [each.ratio for each in row] for arm, row in found.outcomes.items()}
    assert ratios["dense"] == pytest.approx([2.0, 1.25, 1.0, 1.0])
    assert ratios["early_bird"] == pytest.approx([1.0, 1.0, 4 / 3, math.inf])
    assert ratios["progressive"] == pytest.approx([4.0, math.inf, 3.0, 2.0])
    assert [found.share("dense", tau) for tau in (1, 1.5, 2.01)] == [0.5, 0.75, 1.0]
    assert [found.share("early_bird", tau) for tau in (1, 1.5, 1e9)] == [0.5, 0.75, 0.75]
    assert [found.share("progressive", tau) for tau in (1, 2.01, 3.01, 4.01)] == [
        0,
        0.25,
        0.5,
        0.75,
    ]
    assert [found.solved(arm) for arm in found.outcomes] == [4, 3, 3]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(st.floats(1e-3, 1e6), min_size=3, max_size=3), min_size=4, max_size=6))
def test_a_profile_only_rises_and_one_is_the_best(energies: list[list[float]]) -> None:
    arms = ("dense", "early_bird", "progressive")

    def measured_in(units: list[float]) -> list[StudyResults]:
        return [
            study(str(n), {a: unit * e for a, e in zip(arms, row, strict=True)}, arms[2:] * (n % 2))
            for n, (row, unit) in enumerate(zip(energies, units, strict=True))
        ]

    studies = measured_in([1.0] * len(energies))
    found = profile(studies)
    assert found is not None
    taus = sorted({1.0, *(e.ratio for row in found.outcomes.values() for e in row)})
    for arm, row in found.outcomes.items():
        shares = [found.share(arm, tau) for tau in taus if math.isfinite(tau)]
        assert shares == sorted(shares)
        assert shares[-1] * len(row) == pytest.approx(found.solved(arm))
    for place in range(len(studies)):
        assert min(row[place].ratio for row in found.outcomes.values()) == 1.0
    # Each workload on a device that draws another multiple: the same profile.
    other = profile(measured_in([2.0**n for n in range(len(energies))]))
    assert other is not None
    for arm, row in found.outcomes.items():
        assert [e.ratio for e in other.outcomes[arm]] == pytest.approx([e.ratio for e in row])


def test_the_cheapest_is_sought_among_those_that_keep_the_accuracy() -> None:
    cheap = study("d", {"dense": 9.0, "early_bird": 1.0}, lost=["early_bird"])
    found = profile([study(n, {"dense": 9.0, "early_bird": 8.0}) for n in "abc"] + [cheap])
    assert found is not None
    assert found.outcomes["dense"][3].ratio == 1.0
    assert found.outcomes["early_bird"][3].ratio == math.inf
    assert found.outcomes["early_bird"][3].verdict == "worse"


def test_the_margin_is_each_studys_own() -> None:
    lenient = [study(n, {"dense": 9.0, "early_bird": 8.0}, ["early_bird"]) for n in "abcd"]
    found = profile([replace(lenient[0], margin=20.0), *lenient[1:]])
    assert found is not None
    assert [each.solved for each in found.outcomes["early_bird"]] == [True, False, False, False]
    drawn = figure.draw([replace(lenient[0], margin=20.0), *lenient[1:]])
    assert drawn is not None
    assert "within 0.5 to 20 points" in drawn.caption


def test_one_seed_solves_nothing_but_for_the_baseline() -> None:
    found = profile([study(n, {"dense": 9.0, "early_bird": 8.0}, seeds=1) for n in "abcd"])
    assert found is not None
    assert (found.solved("dense"), found.solved("early_bird")) == (4, 0)
    assert {each.verdict for each in found.outcomes["early_bird"]} == {"inconclusive"}


def test_a_method_that_failed_was_run_and_one_that_was_not_is_left_out() -> None:
    energy = {"dense": 9.0, "early_bird": 8.0, "progressive": 20.0}
    whole = [study(n, energy) for n in "abc"]
    runs = whole[0].runs.copy()
    runs.loc[runs["arm"] == "early_bird", "status"] = "failed"
    failed = replace(whole[0], study="d", runs=runs)
    without = study("e", {"dense": 9.0, "early_bird": 8.0})
    found = profile([*whole, failed, without])
    assert found is not None
    assert list(found.outcomes) == ["dense", "early_bird"]
    assert found.left_out == ("progressive",)
    assert found.outcomes["early_bird"][3].verdict == "no finished run"
    assert found.solved("early_bird") == 4
    drawn = figure.draw([*whole, failed, without])
    assert drawn is not None
    assert "Left out, as not every workload has a run of them: progressive." in drawn.caption


def test_a_study_without_its_baseline_judges_nothing() -> None:
    runs = four()[0].runs
    without = replace(four()[0], study="e", runs=runs[runs["arm"] != "dense"])
    found = profile([*four(), without])
    assert found is not None
    assert found.workloads == ("a", "b", "c", "d")
    assert found.unjudged == ("e",)
    assert profile([*four()[:3], without]) is None


def test_below_four_workloads_or_two_methods_there_is_none() -> None:
    assert figure.draw(four()[:3]) is None
    assert figure.draw([]) is None
    assert figure.draw([study(n, {"dense": 9.0}) for n in "abcd"]) is None
    apart = [study(n, {"dense": 9.0, f"early_bird x={n}": 8.0}) for n in "abcd"]
    assert figure.draw(apart) is None


def test_a_workload_is_called_by_its_data_and_model() -> None:
    chosen = {"workload": {"data": "cifar10", "model": "vgg16", "root": None}}
    named = [replace(each, settings=chosen) for each in four()[:2]]
    assert workload_names([*named, four()[2]]) == [
        "cifar10 / vgg16 (a)",
        "cifar10 / vgg16 (b)",
        "c",
    ]
    assert workload_names([named[0], four()[2]]) == ["cifar10 / vgg16", "c"]


@pytest.fixture(scope="module")
def drawn() -> Figured:
    found = figure.draw(four())
    assert found is not None
    return found


def test_curves_are_the_profile(drawn: Figured) -> None:
    found = profile(four())
    assert found is not None
    axes = drawn.figure.axes[0]
    curves = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert len(curves) == 3
    for line, arm in zip(curves, found.outcomes, strict=True):
        for tau, share in zip(line.get_xdata(), line.get_ydata(), strict=True):
            assert share == pytest.approx(100 * found.share(arm, tau))
    assert axes.get_xscale() == "log"


def test_the_frame_and_the_texts_hold_the_outcomes(drawn: Figured) -> None:
    frame = drawn.frame
    assert len(frame) == 12
    assert frame.groupby("workload")["ratio_to_best"].min().tolist() == [1.0] * 4
    assert frame["ratio_to_best"].isna().sum() == (~frame["solved"]).sum() == 2
    assert "early_bird: cheapest on 2, keeps the accuracy on 3." in drawn.alt
    assert "over 4 workloads: a, b, c, d." in drawn.caption
    assert "n = 3 seeds per method and workload." in drawn.caption
    assert drawn.caption.count("NVIDIA H200") == 1


def test_every_part_belongs_to_its_arm_and_names_it(drawn: Figured) -> None:
    assert set(drawn.marks.arms.values()) == {0, 1, 2}
    tips = set(drawn.marks.tips.values())
    assert "dense, 1.00× the cheapest: c, 3030 MJ; d, 0.00101 J" in tips
    assert "progressive keeps the accuracy on 3 of 4 workloads; not shown on b (worse)" in tips


def test_devices_may_differ_between_workloads_and_are_named_for_each() -> None:
    runs = four()[3].runs.assign(energy_device="NVIDIA A100")
    found = figure.draw([*four()[:3], replace(four()[3], runs=runs)])
    assert found is not None
    assert "a, b, c: Energy is measured" in found.caption
    assert (
        "d: Energy is measured (scope: gpu; source: counter; device: NVIDIA A100)" in found.caption
    )


@pytest.mark.parametrize("source", ["counter", "estimated", "simulated"])
def test_what_no_sensor_measured_looks_different(source: str) -> None:
    energy = {"dense": 9.0, "early_bird": 8.0}
    found = figure.draw([*four()[:3], study("d", energy, source=source)])
    assert found is not None
    axes = found.figure.axes[0]
    faces = {str(line.get_markerfacecolor()) for line in axes.lines if line.get_marker() != "None"}
    assert (faces == {"white"}) == (source != "counter")
    assert ("SIMULATED" in [t.get_text() for t in found.figure.texts]) == (source == "simulated")
    kind = "" if source == "counter" else f"partly {source} "
    assert axes.get_xlabel().startswith(f"τ: {kind}energy")


LONG = ["dense"] + [
    f"{method} prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=$x_1$ <b>"
    for i, method in enumerate(["early_bird"] * 4 + ["progressive"] * 4 + ["lottery_ticket"] * 3)
]
DRAWN = {
    "two": lambda: [study(n, {"dense": 9.0 + i, "early_bird": 8.0}) for i, n in enumerate("abcd")],
    "three": four,
    "twelve": lambda: [
        study(n, {arm: 9.0 + (i * k) % 7 for i, arm in enumerate(LONG)}, LONG[k : k + 3])
        for k, n in enumerate("abcdef", start=1)
    ],
    "equal": lambda: [study(n, {"dense": 9.0, "early_bird": 9.0}) for n in "abcd"],
    "none solved": lambda: [
        study(n, {"dense": 9.0, "early_bird": 1.0}, ["early_bird"]) for n in "abcd"
    ],
    "far": lambda: [study(n, {"dense": 1e9, "early_bird": 1e-3}) for n in "abcd"],
}


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_clipped_no_label_overlaps_and_every_arm_is_named(name: str) -> None:
    results = DRAWN[name]()
    found = figure.draw(results)
    assert found is not None
    drawing = found.figure
    with style.printed():
        drawing.draw_without_rendering()
        axes = drawing.axes[0]
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert len(ticks) >= 2
    assert_readable(drawing)
    legend = [text.get_text() for each in drawing.legends for text in each.get_texts()]
    named = [" ".join(t.split()) for t in [text.get_text() for text in axes.texts] or legend]
    assert [text.split(" (")[0] for text in named] == results[0].arms


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert_same_bytes(lambda: figure.draw(DRAWN["two"]()), tmp_path)
