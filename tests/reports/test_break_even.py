"""When a search has paid for itself: by hand, at the edges, in the table and in the figure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from reports.figures import break_even as figure_of
from reports.statistics.break_even import Payback, break_even, ratio_limits
from reports.statistics.statistics import t_interval
from reports.tables import formats
from reports.tables.break_even import break_even_table
from reports.text.phrases import payback_text, repetitions
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults
    from tests.conftest import Cases

T2 = 4.302652729749464
"""Student's t for 95 % and two degrees of freedom."""
DENSE = {
    "energy_j": [100.0, 110.0, 120.0],
    "lost_j": 0.0,
    "epochs_trained": 10,
    "search_j": 0.0,
    "search_epochs": 0,
    "test_j": [1.0, 1.0, 1.0],
    "test_samples": 100,
    "macs": 1000.0,
}
FOUND = {
    "energy_j": [130.0, 135.0, 150.0],
    "lost_j": 0.0,
    "epochs_trained": 22,
    "search_j": 60.0,
    "search_epochs": 12,
    "test_j": [0.4, 0.4, 0.4],
    "test_samples": 100,
    "macs": 300.0,
}
LONG = ["dense"] + [
    f"{method} prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=0.000{i}"
    for i, method in enumerate(["early_bird"] * 4 + ["progressive"] * 4 + ["lottery_ticket"] * 3)
]


def study(
    arms: dict[str, dict[str, Any]] | None = None,
    seeds: int = 3,
    source: str = "counter",
    without: tuple[str, ...] = (),
    **changes: Any,
) -> StudyResults:
    """A study of dense and arms with these columns; `changes` are to the one called "found"."""
    columns = {"dense": DENSE} | (arms if arms is not None else {"found": FOUND | changes})
    results = make(dict.fromkeys(columns, "early_bird") | {"dense": "dense"}, seeds, source)
    runs = results.runs.copy()
    for arm, values in columns.items():
        own = runs.index[runs["arm"] == arm]
        for column, value in values.items():
            several = value[: len(own)] if isinstance(value, list) else [value] * len(own)
            if column not in runs:
                runs[column] = np.nan
            runs[column] = runs[column].astype(object)
            runs.loc[own, column] = several
    return replace(results, runs=runs.infer_objects().drop(columns=list(without)))


def trainings(**changes: Any) -> Payback:
    [found] = break_even(study(**changes))
    assert found.trainings is not None
    return found.trainings


def inferences(**changes: Any) -> Payback:
    [found] = break_even(study(**changes))
    assert found.inferences is not None
    return found.inferences


def test_trainings_by_hand() -> None:
    [found] = break_even(study())
    # After the search ten epochs, as many as dense: what is left of the energy, 70, 75 and 90 J.
    assert found.training_j.mean == pytest.approx((70 + 75 + 90) / 3)
    answer = found.trainings
    assert answer is not None
    assert answer.verdict == "after"
    # Saved: 30, 35 and 30 J.
    mean, half = 95 / 3, T2 * math.sqrt(25 / 3) / math.sqrt(3)
    saving = answer.saving_j
    assert (saving.mean, saving.low, saving.high) == pytest.approx((mean, mean - half, mean + half))
    assert answer.times == pytest.approx(60 / mean)
    # The price is the same with every seed, so that only the saving is unsure.
    assert (answer.low, answer.high) == pytest.approx((60 / (mean + half), 60 / (mean - half)))


def test_inferences_by_hand() -> None:
    answer = inferences()
    assert answer.verdict == "after"
    assert answer.price_j.mean == pytest.approx((30 + 25 + 30) / 3)
    assert answer.saving_j.mean == pytest.approx(0.006)
    assert answer.times == pytest.approx(85 / 3 / 0.006)
    half = T2 * math.sqrt(25 / 3) / math.sqrt(3)
    # Every seed saves the same, so that only the price is unsure.
    assert answer.low == pytest.approx((85 / 3 - half) / 0.006)
    assert answer.high == pytest.approx((85 / 3 + half) / 0.006)


def test_an_epoch_after_the_search_counts_for_as_many_as_dense_trained() -> None:
    # Five epochs after the search, dense had ten: 35 J there are 70 J for a training.
    short = FOUND | {"energy_j": [95.0] * 3, "epochs_trained": 17}
    for dense_epochs, training_j in ((10, 70.0), (20, 140.0)):
        arms = {"dense": DENSE | {"epochs_trained": dense_epochs}, "found": short}
        [found] = break_even(study(arms))
        assert found.training_j.mean == pytest.approx(training_j)


def test_lost_work_is_left_out_on_both_sides() -> None:
    plain = break_even(study())
    lost = {"energy_j": [207.0, 217.0, 227.0], "lost_j": 107.0}
    arms = {
        "dense": DENSE | lost,
        "found": FOUND | {"energy_j": [145.0, 150.0, 165.0], "lost_j": 15.0},
    }
    assert repr(break_even(study(arms))) == repr(plain)


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"energy_j": [165.0, 178.0, 190.0]}, "never", "more than dense each time"),
        ({"energy_j": [130.0, 175.0, 170.0]}, "undecided", "may be none"),
        ({"macs": 1000.0}, "undecided", "not the network's doing"),
        ({"macs": 1000.0, "energy_j": [165.0, 170.0, 180.0]}, "never", "as large as dense"),
        ({"search_j": 0.0, "search_epochs": 0}, "no search", "never changes"),
        ({"search_j": 2.0, "search_epochs": 0}, "no search", "from the start"),
        ({"search_epochs": [12, 12, 22]}, "undecided", "changes until the end"),
        ({"seeds": 1}, "undecided", "one seed"),
    ],
)
def test_verdicts_on_trainings(changes: dict[str, Any], verdict: str, why: str) -> None:
    answer = trainings(**changes)
    assert answer.verdict == verdict
    assert why in answer.why


def test_a_saving_that_may_be_none_has_a_point_but_no_upper_limit() -> None:
    # Saved: 30, −5 and 10 J.
    answer = trainings(energy_j=[130.0, 175.0, 170.0])
    assert answer.times == pytest.approx(60 / (35 / 3))
    assert answer.low == pytest.approx(60 / answer.saving_j.high)
    assert answer.high == math.inf


def test_with_one_seed_there_is_a_point_and_no_interval() -> None:
    answer = trainings(seeds=1)
    assert answer.times == pytest.approx(60 / 30)
    assert math.isnan(answer.low)
    assert math.isnan(answer.high)


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"energy_j": [90.0, 95.0, 100.0]}, "immediately", "the recipe is cheaper"),
        ({"energy_j": [90.0, 95.0, 100.0], "macs": 1000.0}, "immediately", "the recipe is cheaper"),
        ({"energy_j": [90.0, 120.0, 110.0]}, "undecided", "more than dense or less"),
        ({"macs": 1000.0}, "undecided", "not the network's doing"),
        ({"macs": 1000.0, "test_j": [1.1, 1.2, 1.0]}, "never", "as large as dense"),
        ({"test_j": [1.1, 1.2, 1.15]}, "never", "more than dense each time"),
        ({"test_j": [0.9, 1.1, 0.8]}, "undecided", "may be none"),
        ({"seeds": 1}, "undecided", "one seed"),
        ({"seeds": 1, "energy_j": [90.0]}, "undecided", "one seed"),
        (
            {"energy_j": [90.0, 95.0, 100.0], "test_j": [1.1, 1.2, 1.15]},
            "until",
            "each inference dearer",
        ),
    ],
)
def test_verdicts_on_inferences(changes: dict[str, Any], verdict: str, why: str) -> None:
    answer = inferences(**changes)
    assert answer.verdict == verdict
    assert why in answer.why


ACCURACIES = {
    "kept": [0.879, 0.8812, 0.8808],
    "open": [0.85, 0.90, 0.88],
    "lost": [0.33, 0.34, 0.35],
}


@pytest.mark.parametrize(
    ("accuracy", "verdict", "why"),
    [
        ("kept", "after", ""),
        ("open", "after", "inconclusive"),
        ("lost", "not credited", "its accuracy is worse"),
    ],
)
def test_a_network_that_lost_its_accuracy_is_not_credited(
    accuracy: str, verdict: str, why: str
) -> None:
    dense = DENSE | {"test_score": [0.88, 0.8815, 0.8805]}
    found = FOUND | {"test_score": ACCURACIES[accuracy]}
    [arm] = break_even(study({"dense": dense, "found": found}))
    for answer in (arm.trainings, arm.inferences):
        assert answer is not None
        assert answer.verdict == verdict
        assert why in answer.why
        assert math.isnan(answer.times) == (accuracy == "lost")
    table = break_even_table(study({"dense": dense, "found": found}))
    assert table is not None
    cell = table.rows[0][list(table.header).index("Trainings to break even")]
    assert why in cell.note
    assert (cell.value == "") == (accuracy == "lost")


@pytest.mark.torture
def test_never_and_immediately_agree_with_the_numbers_beside_them(cases: Cases) -> None:
    """Whatever was measured: "never" has no positive saving, "immediately" no positive price."""
    rng = np.random.default_rng(5)
    verdicts = set()
    for _ in range(cases(60, 300)):
        found = FOUND | {
            "energy_j": (130 + 40 * rng.normal(size=3)).tolist(),
            "test_j": (1 + 0.4 * rng.normal(size=3)).clip(0.1).tolist(),
            "macs": float(rng.choice([300.0, 1000.0])),
        }
        if rng.random() < 0.1:  # rare by chance
            found |= {"energy_j": [70.0, 80.0, 90.0], "test_j": [1.3, 1.4, 1.5]}
        seeds = int(rng.integers(1, 4))
        [arm] = break_even(study({"dense": DENSE, "found": found}, seeds))
        for answer in (arm.trainings, arm.inferences):
            assert answer is not None
            verdicts.add(answer.verdict)
            if answer.verdict == "never":
                assert answer.saving_j.mean <= 0
            if answer.verdict in ("immediately", "until"):
                assert answer.price_j.high <= 0
            if answer.verdict == "until":
                assert answer.saving_j.high < 0
            if answer.verdict == "after":
                assert answer.saving_j.low > 0
    assert verdicts == {"never", "immediately", "until", "after", "undecided"}


def test_another_precision_may_be_cheaper_though_the_network_is_as_large() -> None:
    arms = {
        "dense": DENSE | {"precision": "fp32"},
        "found": FOUND | {"macs": 1000.0, "precision": "bf16"},
    }
    [found] = break_even(study(arms))
    assert found.inferences is not None
    assert found.inferences.verdict == "after"


@pytest.mark.parametrize("empty", ["dropped", "missing"])
def test_older_results_lack_columns(empty: str) -> None:
    if empty == "dropped":
        results = study(without=("search_j", "search_epochs"))
    else:
        results = study(search_j=None, search_epochs=None)
    [found] = break_even(results)
    assert found.trainings is None
    assert found.inferences is not None
    table = break_even_table(results)
    assert table is not None
    assert not any("raining" in name for name in table.header)
    [found] = break_even(study(without=("test_j",)))
    assert found.inferences is None
    assert found.trainings is not None
    nothing = make()
    assert break_even_table(nothing) is None
    assert figure_of.draw(nothing) is None


def test_pairs_are_of_the_same_seed() -> None:
    results = study()
    runs = results.runs.copy()
    runs.loc[(runs["arm"] == "dense") & (runs["seed"] == 0), "status"] = "failed"
    [found] = break_even(replace(results, runs=runs))
    assert found.trainings is not None
    # Of seeds 1 and 2: 35 and 30 J.
    assert found.trainings.saving_j == t_interval([35.0, 30.0])


def test_without_a_baseline_there_is_nothing_to_pay_back() -> None:
    results = study()
    alone = replace(results, runs=results.runs[results.runs["arm"] != "dense"])
    assert break_even(alone) == []
    assert break_even_table(alone) is None
    assert figure_of.draw(alone) is None


def test_limits_of_a_ratio_are_where_the_difference_is_at_the_edge_of_nought() -> None:
    above, below = [60.0, 66.0, 58.0, 71.0], [10.0, 12.0, 9.0, 11.0]
    for limit in ratio_limits(above, below):
        difference = t_interval(a - limit * b for a, b in zip(above, below, strict=True))
        assert min(abs(difference.low), abs(difference.high)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ([60.0] * 3, [20.0] * 3, (3.0, 3.0)),
        ([60.0] * 3, [0.0] * 3, (math.nan, math.nan)),
        ([60.0] * 3, [-20.0] * 3, (math.nan, math.nan)),
        ([60.0], [20.0], (math.nan, math.nan)),
        ([], [], (math.nan, math.nan)),
        ([-1.0, 0.0, 1.0], [-1.0, 1.0, 0.1], (0.0, math.inf)),
    ],
)
def test_limits_of_a_ratio_at_the_edges(
    above: list[float], below: list[float], expected: tuple[float, float]
) -> None:
    assert ratio_limits(above, below) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_limits_cover_the_ratio_as_often_as_they_say(spread: float) -> None:
    """Also where the denominator is often near 0, and the limits are often infinite."""
    rng = np.random.default_rng(0)
    hits, studies = 0, 4000
    for common, a, b in rng.normal(size=(studies, 3, 3)):
        above = 60 * (1 + spread * (0.7 * common + 0.7 * a))
        below = 20 * (1 + spread * (0.7 * common + 0.7 * b))
        low, high = ratio_limits(above.tolist(), below.tolist())
        hits += low <= 3.0 <= high
    # Two standard errors of a share of 0.95, plus what infinite sets cover beyond it.
    assert 0.943 <= hits / studies <= 0.975


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (0.5416, "0.542"),
        (12.34, "12.3"),
        (999.9, "1,000"),
        (108788.7, "109,000"),
        (999_999.0, "1.00 million"),
        (3.21e9, "3.21 billion"),
        (4e20, "4e+20"),
        (math.inf, "∞"),
    ],
)
def test_numbers_of_repetitions_in_words(times: float, text: str) -> None:
    assert repetitions(times) == text


def test_answers_in_words() -> None:
    assert payback_text(trainings()) == "1.89 (1.54 … 2.45)"
    heavy = trainings(macs=1000.0, energy_j=[165.0, 170.0, 180.0])
    assert payback_text(heavy) == "never, as large as dense"
    assert payback_text(trainings(seeds=1)) == "undecided (about 2.00), one seed"
    assert payback_text(None) == "–"


def test_the_table_says_it_all() -> None:
    table = break_even_table(study())
    assert table is not None
    assert table.arms == ["found"]
    [row] = table.rows
    cells = dict(zip(table.header, ((cell.text, cell.note) for cell in row), strict=True))
    assert cells["Search, J"] == ("60.0", "60.0 … 60.0")
    assert cells["Training the found network again, J"][0] == "78.3"
    assert cells["Saved each time, J"] == ("31.7", "24.5 … 38.8")
    assert cells["Trainings to break even"] == ("1.89", "1.54 … 2.45")
    assert cells["Extra energy of the recipe, J"][0] == "28.3"
    assert cells["Saved per inference, mJ"][0] == "6.00"
    assert cells["Inferences to break even"][0] == "4,720"
    unsure = break_even_table(study(energy_j=[130.0, 175.0, 170.0], source="estimated"))
    assert unsure is not None
    assert "Search, estimated, J" in unsure.header
    cell = unsure.rows[0][list(unsure.header).index("Trainings to break even")]
    assert (cell.text, cell.value) == ("undecided", "")
    assert cell.note.startswith("the saving may be none: about 5.14, 1.")
    assert cell.note.endswith("… ∞")
    assert "undecided" in formats.as_csv(unsure)


def mixed(arms: list[str], source: str = "estimated") -> StudyResults:
    """Every kind of answer in turn."""
    kinds: list[dict[str, Any]] = [
        {},
        {"macs": 1000.0},
        {"energy_j": [90.0, 95.0, 100.0]},
        {"energy_j": [130.0, 175.0, 170.0]},
        {"search_j": [6e8, 6.1e8, 6.2e8], "energy_j": [6e8 + 40, 6.1e8 + 41, 6.2e8 + 42]},
        {"search_epochs": 22},
    ]
    chosen = {arm: FOUND | kinds[n % len(kinds)] for n, arm in enumerate(arms)}
    return study(chosen, source=source)


@pytest.fixture(scope="module", params=["one", "four", "twelve", "odd"])
def drawn(request: pytest.FixtureRequest) -> tuple[StudyResults, Any]:
    arms = {
        "one": ["early_bird"],
        "four": ["early_bird", "rigl", "progressive", "random_ticket"],
        "twelve": LONG[1:],
        "odd": ["$x_1^{", "a<b>&c", "_hidden", "x" * 60],
    }[request.param]
    results = mixed(arms)
    return results, figure_of.draw(results)


def test_the_figure_can_be_read(drawn: tuple[StudyResults, Any]) -> None:
    results, figured = drawn
    assert_readable(figured.figure)
    assert set(figured.frame["arm"]) == set(results.arms) - {"dense"}
    told_of = {tip.split(", ")[0] for tip in figured.marks.tips.values()}
    assert told_of == set(results.arms) - {"dense"}


def test_the_figure_shows_what_the_analysis_says() -> None:
    results = mixed(["early_bird", "rigl", "progressive", "random_ticket"])
    figured = figure_of.draw(results)
    assert figured is not None
    trained, used = figured.figure.axes
    dots = {
        round(float(line.get_xdata()[0]), 6): line.get_color()
        for line in trained.lines
        if line.get_markersize() == 7
    }
    expected = [each.trainings.times for each in break_even(results) if each.trainings]
    assert sorted(dots) == pytest.approx(sorted(t for t in expected if t > 0), abs=1e-6)
    words = [text.get_text() for axes in (trained, used) for text in axes.texts]
    assert "1.89 (1.54 … 2.45)" in words
    assert "5.14 (undecided)" in words
    assert any(word.startswith("undecided: as large as dense") for word in words)
    assert any(word.startswith("immediately") for word in words)
    for part in ("not measured", "Hollow", "estimated", "Fieller", "n = 3 seeds", "scope: cpu"):
        assert part in figured.caption
    assert "early_bird: trainings 1.89 (1.54 … 2.45)" in figured.alt


def test_nothing_to_pay_back_is_no_figure() -> None:
    assert figure_of.draw(study(search_j=0.0, energy_j=[90.0, 95.0, 100.0])) is None


def test_simulated_energy_is_written_across() -> None:
    figured = figure_of.draw(study(source="simulated"))
    assert figured is not None
    assert "SIMULATED" in [text.get_text() for text in figured.figure.texts]


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    assert_same_bytes(lambda: figure_of.draw(study()), tmp_path)
    frame = pd.read_csv(tmp_path / "first" / "figure.csv")
    assert frame["times"].tolist() == pytest.approx([60 / (95 / 3), 85 / 3 / 0.006])
