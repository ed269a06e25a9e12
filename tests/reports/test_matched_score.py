"""Energy at matched accuracy: by hand, against a simulation of a known truth, table and figure."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import reports
from harness.settings.metric import ACCURACY
from reports.figures import matched_score as figure_of
from reports.statistics.frontier import Crossing, Frontier, crossing, frontiers
from reports.tables.matched import matched, matched_frame
from reports.text.phrases import crossing_text
from reports.text.scores import Shown
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reports.data import StudyResults
    from reports.tables.table import Table

T1 = 12.706204736
"""Student's t for 95 % and one degree of freedom."""
BIRD = "early_bird prune_ratio="


def study(
    arms: Mapping[str, tuple[Sequence[float], Sequence[float]]], source: str = "counter"
) -> StudyResults:
    """Arms with these energies in J and accuracies in percent, a value a seed."""
    seeds = len(next(iter(arms.values()))[0])
    results = make({arm: arm.split()[0] for arm in arms}, seeds, source)
    runs = results.runs.copy()
    for arm, (energy, accuracy) in arms.items():
        own = runs["arm"] == arm
        runs.loc[own, "energy_j"] = list(energy)
        runs.loc[own, "test_score"] = [share / 100 for share in accuracy]
    return replace(results, runs=runs)


def only(results: StudyResults, name: str) -> Frontier:
    [found] = [each for each in frontiers(results) if each.name == name]
    return found


def test_a_crossing_by_hand() -> None:
    # Means of x: −1 and 3, so 0 lies a quarter of the way; of y: 2 and 4. The slope is 1/2.
    path = [("a", {0: -1.5, 1: -0.5}, {0: 2.0, 1: 2.0}), ("b", {0: 3.0, 1: 3.0}, {0: 3.0, 1: 5.0})]
    found = crossing(path)
    assert (found.status, found.between) == ("reached", ("a", "b"))
    # Seed 0: y there 2.25, x there −0.375; seed 1: 2.75 and 0.375.
    values = 2.25 + 0.5 * 0.375, 2.75 - 0.5 * 0.375
    assert found.value.mean == pytest.approx(2.5)
    half = T1 * abs(values[1] - values[0]) / 2
    assert found.value.high == pytest.approx(2.5 + half)


def test_energy_at_the_baselines_accuracy_by_hand() -> None:
    """Half way in accuracy between 40 and 90 J is their geometric mean, 60 J of 100."""
    results = study(
        {
            "dense": ([100, 100], [90, 91]),
            f"{BIRD}0.7": ([40, 40], [89, 90]),
            f"{BIRD}0.3": ([90, 90], [91, 92]),
        }
    )
    found = only(results, "early_bird")
    assert found.energy.status == "reached"
    assert found.energy.value.mean == pytest.approx(0.6)
    assert found.energy.between == (f"{BIRD}0.7", f"{BIRD}0.3")
    # No level costs as much as dense, so the best is what is had at least.
    assert (found.difference.status, found.difference.between) == ("bound", (f"{BIRD}0.3",))
    assert found.difference.value.mean == pytest.approx(1)
    assert crossing_text(found, "dense", Shown(ACCURACY)).startswith(
        "early_bird: at dense's accuracy 0.60 of dense's energy"
    )
    assert "at least +1.00 points" in crossing_text(found, "dense", Shown(ACCURACY))


def test_accuracy_at_the_baselines_energy_by_hand() -> None:
    results = study(
        {
            "dense": ([100, 100], [90, 90]),
            "progressive prune_ratio=0.7": ([50, 50], [87, 87]),
            "progressive prune_ratio=0.3": ([200, 200], [89, 89]),
        }
    )
    found = only(results, "progressive")
    assert found.difference.status == "reached"
    assert found.difference.value.mean == pytest.approx(-2)
    assert found.energy.status == "not reached"
    assert math.isnan(found.energy.value.mean)
    assert "not reached" in crossing_text(found, "dense", Shown(ACCURACY))


@pytest.mark.parametrize(
    ("levels", "energy", "points"),
    [
        (((40, 91), (90, 92)), "bound", "bound"),
        (((140, 88), (190, 89)), "not reached", "not reached"),
        (((140, 88), (190, 92)), "reached", "not reached"),
        (((40, 88), (190, 92)), "reached", "reached"),
        (((40, 88),), "not reached", "bound"),
        # The dearer level is worse: only the other is on the frontier.
        (((40, 89), (90, 88)), "not reached", "bound"),
    ],
)
def test_nothing_is_extrapolated(
    levels: Sequence[tuple[float, float]], energy: str, points: str
) -> None:
    arms = {"dense": ([100.0, 101.0], [90.0, 90.1])}
    for n, (joules, accuracy) in enumerate(levels):
        arms[f"{BIRD}0.{n + 1}"] = ([joules, joules], [accuracy, accuracy])
    results = study(arms)
    [found] = [each for each in frontiers(results) if each.name != "dense"]
    assert (found.energy.status, found.difference.status) == (energy, points)
    for each in (found.energy, found.difference):
        assert math.isnan(each.value.mean) == (each.status == "not reached")


def test_lengths_and_widths_of_dense_are_one_frontier() -> None:
    """A shorter training that is better than dense moves the dense frontier, too."""
    results = study(
        {
            "dense": ([100, 100], [90, 90]),
            "dense_short share=0.5": ([50, 50], [89, 89]),
            "small_dense share=0.5": ([60, 60], [91, 91]),
            "small_dense": ([30, 30], [88, 88]),
        }
    )
    shares = [0.5 if "share" in arm else math.nan for arm in results.runs["arm"]]
    results = replace(results, runs=results.runs.assign(share=shares))
    dense = only(results, "dense")
    others = ("dense_short share=0.5", "small_dense share=0.5")
    assert dense.arms == (*others, "dense")
    assert dense.front == others
    assert dense.energy.value.mean == pytest.approx(math.sqrt(0.5 * 0.6))
    # Of a ticket's widths it is a control of its own.
    assert only(results, "small_dense").arms == ("small_dense",)


def test_one_seed_has_a_point_and_no_interval() -> None:
    arms = {"dense": ([100], [90]), f"{BIRD}0.7": ([40], [89]), f"{BIRD}0.3": ([90], [91])}
    found = only(study(arms), "early_bird")
    assert found.energy.value.mean == pytest.approx(0.6)
    assert not found.energy.value.bounded


def test_seeds_that_some_level_lacks_are_left_out() -> None:
    results = study(
        {
            "dense": ([100, 100, 100], [90, 90, 90]),
            f"{BIRD}0.7": ([40, 40, 40], [89, 89, 89]),
            f"{BIRD}0.3": ([90, 90, 90], [91, 91, 91]),
        }
    )
    runs = results.runs.copy()
    runs.loc[(runs["arm"] == f"{BIRD}0.7") & (runs["seed"] == 2), "status"] = "failed"
    found = only(replace(results, runs=runs), "early_bird")
    assert found.energy.value.n == 2
    assert found.energy.value.mean == pytest.approx(0.6)


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_known_crossing_is_covered_at_the_nominal_rate(seeds: int) -> None:
    """True means −1 and +1 points at 40 and 90 J of 100; a seed moves all arms."""
    rng = np.random.default_rng(seeds)
    held = reached = 0
    for _ in range(1500):
        of_seed = rng.normal(0, 0.5, seeds)
        base = of_seed + rng.normal(0, 0.15, seeds)
        path = [
            (
                str(points),
                dict(enumerate(points + of_seed + rng.normal(0, 0.15, seeds) - base)),
                dict(enumerate(math.log(joules / 100) + rng.normal(0, 0.02, seeds))),
            )
            for points, joules in ((-1, 40), (1, 90))
        ]
        found = crossing(path)
        if found.status == "reached":
            reached += 1
            held += found.value.low <= math.log(0.6) <= found.value.high
    assert reached > 1400
    assert held / reached == pytest.approx(0.95, abs=0.02)


def several(seeds: int = 3, source: str = "counter") -> StudyResults:
    rng = np.random.default_rng(2)
    levels = {
        "dense": (100, 93.0),
        "dense_short share=0.5": (51, 91.5),
        "dense_short share=0.25": (26, 90.0),
        f"{BIRD}0.3": (75, 93.4),
        f"{BIRD}0.5": (60, 93.1),
        f"{BIRD}0.7": (48, 92.2),
        "progressive prune_ratio=0.5": (180, 93.2),
        "progressive prune_ratio=0.7": (150, 92.8),
        "snip": (101, 92.0),
    }
    return study(
        {
            arm: (
                (joules * np.exp(rng.normal(0, 0.01, seeds))).tolist(),
                (accuracy + rng.normal(0, 0.1, seeds)).tolist(),
            )
            for arm, (joules, accuracy) in levels.items()
        },
        source,
    )


def rows_of(table: Table) -> dict[str, object]:
    """The row of early_bird, as programs read it."""
    return table.frame().set_index("method").loc["early_bird"].to_dict()


def test_the_table_and_its_files_say_the_same() -> None:
    results = several()
    table = matched(results)
    assert table is not None
    names = [row[0].text for row in table.rows]
    assert names == ["dense, other lengths and widths", "early_bird", "progressive", "snip"]
    bird = table.rows[1]
    found = only(results, "early_bird")
    assert bird[1].value == pytest.approx(found.energy.value.mean)
    assert bird[2].text.startswith("at least +")
    assert rows_of(table)["score_status"] == "bound"
    frame = matched_frame(results)
    rows = json.loads(frame.to_json(orient="records"))
    assert [row["method"] for row in rows] == ["dense", "early_bird", "progressive", "snip"]
    assert rows[1]["energy_ratio"] == pytest.approx(found.energy.value.mean)
    assert rows[3]["energy_ratio"] is None
    assert rows[3]["energy_status"] == "not reached"


def test_without_levels_there_is_no_table_and_no_figure() -> None:
    results = make()
    assert matched(results) is None
    assert figure_of.draw(results) is None


@pytest.mark.parametrize("source", ["counter", "estimated"])
def test_the_figure_can_be_read(source: str) -> None:
    results = several(source=source)
    figured = figure_of.draw(results)
    assert figured is not None
    assert_readable(figured.figure)
    axes = figured.figure.axes[0]
    low, high = axes.get_xlim()
    for found in frontiers(results):
        if len(found.arms) > 1 and found.energy.status == "reached":
            assert low < found.energy.value.mean < high
    words = [text.get_text() for text in axes.texts]
    assert {"early_bird", "progressive", "dense"} <= set(words)
    assert "snip" not in words
    assert ("Hollow" in figured.caption) == (source == "estimated")


def test_the_caption_says_what_it_must() -> None:
    figured = figure_of.draw(several(source="estimated"))
    assert figured is not None
    for part in ("n = 3", "interval", "scope: cpu", "source: estimated", "Nothing is extrapolated"):
        assert part in figured.caption
    assert "ncertainty" in figured.caption
    simulated = figure_of.draw(several(source="simulated"))
    assert simulated is not None
    assert "SIMULATED" in [text.get_text() for text in simulated.figure.texts]
    lone = figure_of.draw(several(seeds=1))
    assert lone is not None
    assert "no interval" in lone.caption
    assert_readable(lone.figure)


@pytest.mark.usefixtures("undrawn")
def test_the_page_has_the_table_the_figure_and_the_json(tmp_path: Path) -> None:
    page = reports.build(several(), out=tmp_path)
    assert "Energy at the same accuracy" in page.read_text("utf-8")
    assert (tmp_path / "figures" / "matched_score.svg").exists()
    [bird] = [
        row
        for row in json.loads((tmp_path / "tables" / "matched_score.json").read_text("utf-8"))
        if row["method"] == "early_bird"
    ]
    assert bird["energy_ratio"] == pytest.approx(only(several(), "early_bird").energy.value.mean)


def test_many_methods_share_a_legend() -> None:
    arms = {"dense": ([100.0, 101.0], [90.0, 90.1])}
    for n in range(9):
        for level, joules in ((0.3, 80.0), (0.5, 60.0)):
            accuracy = 89.99 + 0.02 * (joules > 70)
            arms[f"progressive rounds={n + 1} prune_ratio={level}"] = (
                [joules + 0.1 * n, joules],
                [accuracy, accuracy],
            )
    figured = figure_of.draw(study(arms))
    assert figured is not None
    assert figured.figure.legends
    assert_readable(figured.figure)


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    assert_same_bytes(lambda: figure_of.draw(several()), tmp_path)


def test_a_crossing_that_is_met_exactly_needs_no_neighbour() -> None:
    found = crossing([("a", {0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.0})])
    assert isinstance(found, Crossing)
    assert (found.status, found.value.mean, found.between) == ("reached", 1.0, ("a",))
