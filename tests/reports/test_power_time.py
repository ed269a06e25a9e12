"""Power over time: areas are energies, phases tile, what nobody saw is red, all is readable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from harness.results.run_detail import GAP, CloseUp
from reports.figures import power_time
from reports.figures.power_time import MAX_ARMS
from reports.plotting import style
from reports.plotting.labels import settle
from reports.statistics.power import thinned
from reports.text.captions import basis
from tests.reports.details import detailed
from tests.reports.readable_figure import assert_readable
from tests.reports.synthetic import make
from tests.reports.test_power_thinning import bins, energy_j

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

LONG = [
    "dense",
    *(f"early_bird max_distance=0.1 reinit=True prune_ratio=0.{n:012d}" for n in range(11)),
]
RED = to_rgba("#d00000")


def drawn(results: StudyResults) -> Figured:
    figured = power_time.draw(results)
    assert figured is not None
    return figured


def rows(figured: Figured) -> list[Axes]:
    """The axes with power; a strip has none of its own name."""
    return [axes for axes in figured.figure.axes if axes.get_title(loc="left")]


def strips(figured: Figured) -> list[Axes]:
    return [axes for axes in figured.figure.axes if not axes.get_title(loc="left")]


def mean_lines(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_linewidth() == 1.0]


def area(line: Line2D) -> float:
    """Under a stepped line, in the units of the axes."""
    x, y = line.get_xdata(), line.get_ydata()
    return float(np.nansum(np.diff(x) * y[1:]))


def devices(results: StudyResults, names: Sequence[str]) -> StudyResults:
    """The same runs, each with several devices that draw as much, binned each in its own way."""
    close_ups: dict[str, CloseUp] = {}
    for arm, seen in results.close_ups.items():
        parts = []
        for number, name in enumerate(names):
            part = thinned(seen.power, 0.05 * (number + 1)).assign(device=name)
            powers = ["low_w", "mean_w", "high_w"]
            part[powers] /= len(names)
            parts.append(part)
        close_ups[arm] = replace(seen, power=pd.concat(parts, ignore_index=True))
    return replace(results, close_ups=close_ups)


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return detailed(make(source="counter"))


@pytest.fixture(scope="module")
def figured(study: StudyResults) -> Figured:
    return drawn(study)


def test_the_area_under_each_line_is_the_energy_of_its_run(
    study: StudyResults, figured: Figured
) -> None:
    for arm, axes in zip(study.arms, rows(figured), strict=True):
        [line] = mean_lines(axes)
        assert area(line) == pytest.approx(energy_j(study.close_ups[arm].power), rel=1e-6)
        assert axes.get_title(loc="left") == arm
        assert axes.get_title(loc="right").startswith(f"seed {study.median_seed(arm)}: ")


def test_rows_share_their_axes_so_that_areas_compare(figured: Figured) -> None:
    assert len({axes.get_xlim() for axes in figured.figure.axes}) == 1
    assert len({axes.get_ylim() for axes in rows(figured)}) == 1
    assert rows(figured)[0].get_ylim()[0] == 0
    longest = max(line.get_xdata().max() for axes in rows(figured) for line in mean_lines(axes))
    assert rows(figured)[0].get_xlim() == pytest.approx((0, longest))


@pytest.mark.parametrize(("share", "text"), [(0.1, " ± "), (1.9, ", within a factor of 2.9")])
def test_no_energy_is_reported_to_be_below_none(
    share: float, text: str, study: StudyResults
) -> None:
    runs = study.runs.assign(uncertainty_j=share * study.runs["energy_j"])
    figured = drawn(replace(study, runs=runs))
    beside = [axes.get_title(loc="right") for axes in rows(figured)]
    assert beside
    assert all(text in title for title in beside)
    assert ("±" in "".join(beside)) == (share < 1)
    assert f"(95 %): {'a factor of 2.9' if share > 1 else '±10 %'}." in basis(
        replace(study, runs=runs)
    )


def test_gaps_and_throttling_are_red(study: StudyResults, figured: Figured) -> None:
    for arm, axes, strip in zip(study.arms, rows(figured), strips(figured), strict=True):
        seen = study.close_ups[arm]
        [gap] = [patch for patch in axes.patches if patch.get_edgecolor() == RED]
        missed = seen.power[seen.power["coverage"] < GAP]
        ends = gap.get_path().vertices[:, 0]
        width_s = seen.power["end_s"].max() / 100
        assert ends.min() == pytest.approx(missed["start_s"].min(), abs=width_s)
        assert ends.max() == pytest.approx(missed["end_s"].max(), abs=width_s)
        throttled = seen.states[seen.states["throttled"]]
        [red] = strip.patches
        ends = red.get_path().vertices[:, 0]
        assert (ends.min(), ends.max()) == pytest.approx(
            (throttled["start_s"].min(), throttled["end_s"].max()), abs=width_s
        )
    words = [text.get_text() for text in figured.figure.legends[0].get_texts()]
    assert {"not observed", "throttled (below)", "mean power"} <= set(words)
    assert "new attempt" not in words
    assert "Red: not observed" in figured.caption


def test_what_is_not_there_is_not_drawn_nor_explained() -> None:
    results = detailed(make(["dense", "early_bird"], source="counter"), states=False)
    seen = results.close_ups["dense"]
    flat = {"low_w": seen.power["mean_w"], "high_w": seen.power["mean_w"], "coverage": 1.0}
    plain = replace(seen, power=seen.power.assign(**flat))
    results = replace(results, close_ups={"dense": plain})
    figured = drawn(results)
    assert not strips(figured)
    [axes] = rows(figured)
    assert not [patch for patch in axes.patches if patch.get_edgecolor() == RED]
    assert not axes.collections
    words = {text.get_text() for text in figured.figure.legends[0].get_texts()}
    assert not words & {"not observed", "throttled (below)", "lowest to highest reading"}
    for part in ("Red", "Below", "Band", "Hatched"):
        assert part not in figured.caption


def test_a_strip_is_under_those_rows_whose_states_are_known(study: StudyResults) -> None:
    dense = study.close_ups["dense"]
    without = replace(dense, states=dense.states.iloc[:0])
    figured = drawn(replace(study, close_ups={**study.close_ups, "dense": without}))
    assert len(strips(figured)) == len(study.arms) - 1


def test_a_new_attempt_has_a_border(study: StudyResults) -> None:
    seen = study.close_ups["dense"]
    windows = seen.windows.copy()
    windows.loc[2:, "attempt"] = 2
    figured = drawn(replace(study, close_ups={"dense": replace(seen, windows=windows)}))
    [border] = [line for line in rows(figured)[0].lines if line.get_linewidth() == 0.9]
    assert border.get_xdata()[0] == pytest.approx(windows["start_s"][2])
    assert "new attempt" in [text.get_text() for text in figured.figure.legends[0].get_texts()]


def test_up_to_four_devices_have_a_line_each_and_more_are_summed() -> None:
    results = detailed(make(["dense"], source="counter"))
    expected = energy_j(results.close_ups["dense"].power)
    names = [f"GPU-0000000{n}-1b2c-4d5e-8f90-0123456789ab" for n in range(5)]
    four = drawn(devices(results, names[:4]))
    lines = mean_lines(rows(four)[0])
    assert sum(map(area, lines)) == pytest.approx(expected)
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 4
    words = [text.get_text() for text in four.figure.legends[0].get_texts()]
    assert {f"GPU-0000000{n}" for n in range(4)} <= set(words)
    assert "sum" not in four.caption
    five = drawn(devices(results, names))
    [line] = mean_lines(rows(five)[0])
    assert area(line) == pytest.approx(expected)
    assert "Of more than 4 devices the sum is shown," in five.caption
    assert set(five.frame.loc[five.frame["kind"] == "power", "device"]) == set(names)


@pytest.mark.parametrize(("source", "hatched"), [("estimated", True), ("counter", False)])
def test_an_estimate_is_hatched_and_called_no_sensor(source: str, hatched: bool) -> None:
    figured = drawn(detailed(make(["dense"], source=source), states=False))
    marked = [patch for patch in rows(figured)[0].patches if patch.get_hatch() == style.HATCH]
    assert bool(marked) == hatched
    assert ("not a power sensor" in figured.caption) == hatched
    assert figured.figure.get_supylabel() == ("Estimated power (W)" if hatched else "Power (W)")


def test_the_caption_says_what_it_must(figured: Figured) -> None:
    for part in ("median energy", "area under the mean is the energy", "at most 1,000 bins"):
        assert part in figured.caption
    for part in ("n = 3 per method", "no interval", "scope: gpu", "source: counter", "H200"):
        assert part in figured.caption


def test_the_csv_has_bins_phases_and_states(study: StudyResults, figured: Figured) -> None:
    counts = figured.frame.groupby(["kind", "arm"]).size()
    for arm, seen in study.close_ups.items():
        assert counts["power", arm] == len(seen.power)
        assert counts["state", arm] == len(seen.states)
    phases = figured.frame[figured.frame["kind"] == "phase"]
    assert set(phases.loc[phases["arm"] == "early_bird", "phase"]) >= {"search", "retrain", "lost"}


def test_tips_tell_of_runs_and_phases(study: StudyResults, figured: Figured) -> None:
    tips = list(figured.marks.tips.values())
    run = study.finished[study.finished["arm"] == "dense"].sort_values("energy_j").iloc[1]
    assert f"dense, seed {run['seed']}: 93.1 J in 6.21 s, 15.0 W on average" in tips
    [search] = [tip for tip in tips if tip.startswith("early_bird, search")]
    assert search.endswith("15.0 W on average")
    assert set(figured.marks.arms.values()) == {0, 1, 2, 3}
    assert len(tips) < 100


def test_of_many_arms_the_baseline_and_the_most_frugal_are_shown() -> None:
    labels = {"wasteful": "lottery_ticket"} | {f"x {n}": "early_bird" for n in range(14)}
    results = detailed(make({**labels, "dense": "dense"}), states=False)
    figured = drawn(results)
    shown = [axes.get_title(loc="left") for axes in rows(figured)]
    assert len(shown) == MAX_ARMS
    assert shown[0] == "dense"
    by_energy = sorted(
        (results.by_seed(arm, "energy_j")[results.median_seed(arm)], arm) for arm in results.arms
    )
    frugal = [arm for _, arm in by_energy if arm != "dense"][: MAX_ARMS - 1]
    assert shown[1:] == [arm for arm in results.arms if arm in frugal]
    assert "Of 16 arms 12 are shown" in figured.caption


@pytest.mark.parametrize(
    "results",
    [
        detailed(make([*LONG[:11], "early_bird " + "of a name without end " * 5])),
        detailed(make(LONG[:2], source="simulated")),
        detailed(make(dict.fromkeys(["dense", "$x_1^{", "a<b>&c"], "early_bird"), scale=1e7)),
        detailed(make(["dense", "early_bird"], scale=1e-5), states=False),
        devices(
            detailed(make(["dense"])), ["cpu:a-host-of-a-very-long-name-indeed.example.org", "b"]
        ),
    ],
    ids=["twelve", "simulated", "odd", "tiny", "devices"],
)
def test_extremes_stay_readable(results: StudyResults) -> None:
    figured = drawn(results)
    assert_readable(figured.figure)
    heights_in = [
        axes.get_window_extent().height / figured.figure.dpi for axes in figured.figure.axes
    ]
    assert min(heights_in) >= 0.2
    legend = figured.figure.legends[0].get_window_extent()
    assert legend.y1 <= min(axes.get_window_extent().y0 for axes in figured.figure.axes)


def test_four_full_runs_make_a_small_file_twice_the_same(tmp_path: Path) -> None:
    """1,000 bins with a band for each run, all runs as long as the axis."""
    results = detailed(make(source="counter"))
    rng = np.random.default_rng(0)
    edges = np.linspace(0, 3600, 1001)
    mean = 500 + 25 * rng.standard_normal(1000)
    power_w = bins(edges[:-1], edges[1:], mean).assign(low_w=mean - 50, high_w=mean + 50)
    full = {}
    for arm, seen in results.close_ups.items():
        scale = 3600 / seen.windows["end_s"].max()
        times = ["start_s", "end_s"]
        windows = seen.windows.assign(**{name: seen.windows[name] * scale for name in times})
        full[arm] = replace(seen, power=power_w, windows=windows, states=seen.states.iloc[:0])
    results = replace(results, close_ups=full)
    for folder in ("first", "second"):
        figured = drawn(results)
        style.save(figured.figure, figured.frame, tmp_path / folder, "power_time")
    svg = (tmp_path / "first" / "power_time.svg").read_bytes()
    assert len(svg) < 250_000
    assert svg == (tmp_path / "second" / "power_time.svg").read_bytes()


def test_a_layout_that_is_off_by_the_last_bit_is_settled() -> None:
    places = []
    for off in (0.0, 1e-13):
        figure = Figure()
        axes = figure.add_axes((0.1 + off, 0.2, 0.3, 0.4 - off))
        settle(figure)
        places.append(axes.get_position().bounds)
    assert places[0] == places[1] == pytest.approx((0.1, 0.2, 0.3, 0.4))


def test_there_is_no_figure_without_a_trace(study: StudyResults) -> None:
    assert power_time.draw(replace(study, close_ups={})) is None
    blind = {arm: replace(seen, power=seen.power.iloc[:0]) for arm, seen in study.close_ups.items()}
    assert power_time.draw(replace(study, close_ups=blind)) is None
