"""The energy of a recipe and of what follows: measured inferences, crossings, bands, devices."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reports.figures import lifetime as figure_of
from reports.statistics.break_even import BreakEven, Payback, break_even
from reports.statistics.lifetime import DAYS_PER_YEAR, lifetimes
from reports.statistics.statistics import energy_interval, paired_ratio
from reports.tables.break_even import break_even_table
from reports.tables.inferences import inferences
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.test_break_even import DENSE, FOUND, LONG, study

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults

USED: dict[str, Any] = {
    "inference_runtime": "onnxruntime",
    "inference_device": "cpu",
    "inference_host": "workstation",
    "inference_gpus": "",
    "inference_threads": 1,
    "inference_batch": 1,
    "inference_source": "counter",
    "inference_gain_j": 0.0,
}
DENSE_USED = {
    **(DENSE | USED),
    "inference_j": [0.010, 0.011, 0.012],
    "inference_gain_j": 0.00055,
    "latency_s": [0.003, 0.004, 0.005],
    "latency_p99_s": [0.009, 0.010, 0.011],
}
FOUND_USED = {
    **(FOUND | USED),
    "inference_j": [0.004, 0.005, 0.006],
    "inference_gain_j": 0.00025,
    "latency_s": [0.001, 0.002, 0.003],
    "latency_p99_s": [0.005, 0.006, 0.007],
}
ELSEWHERE = {"inference_host": "board"}


def served(
    found: dict[str, Any] | None = None, dense: dict[str, Any] | None = None, **asked: Any
) -> StudyResults:
    """A study whose networks were measured, each of dense's and of the other's with changes."""
    source = asked.pop("source", "counter")
    arms = {"dense": DENSE_USED | (dense or {}), "found": FOUND_USED | (found or {})}
    return replace(study(arms, source=source), **asked)


def answer_of(results: StudyResults) -> tuple[BreakEven, Payback]:
    [arm] = break_even(results)
    assert arm.inferences is not None
    return arm, arm.inferences


def test_measured_inferences_take_the_place_of_the_test_pass() -> None:
    absurd = {"test_j": [1e6] * 3}
    arm, answer = answer_of(served(absurd, absurd))
    assert answer.verdict == "after"
    # Above dense: 30, 25 and 30 J; every seed saves 6 mJ.
    assert answer.times == pytest.approx(85 / 3 / 0.006)
    assert arm.each.how == ("onnxruntime on cpu, threads 1, batch 1, at workstation",)
    table = break_even_table(served(absurd, absurd))
    assert table is not None
    [record] = table.records
    assert record["inference_basis"] == arm.each.how[0]
    assert record["inference_j"] == energy_interval([0.004, 0.005, 0.006])
    assert "onnxruntime on cpu" in table.legend
    assert "not measured:" not in table.legend


def test_a_table_says_what_an_inference_costs() -> None:
    results = served()
    table = inferences(results)
    assert table is not None
    dense, found = table.records
    assert found["inference_j"] == energy_interval([0.004, 0.005, 0.006])
    assert found["latency_s"] == energy_interval([0.001, 0.002, 0.003])
    assert dense["latency_p99_s"] == energy_interval([0.009, 0.010, 0.011])
    ratio = paired_ratio({0: 4.0, 1: 5.0, 2: 6.0}, {0: 10.0, 1: 11.0, 2: 12.0})
    assert found["inference_ratio"].mean == pytest.approx(ratio.mean)
    assert dense["inference_ratio"] is None
    assert table.header[3:5] == [
        "Latency of a call, median, ms",
        "Latency of a call, 99th percentile, ms",
    ]
    [_, shown] = table.rows
    assert [cell.text for cell in shown[3:5]] == ["2.00", "6.00"]
    assert inferences(served({"inference_j": None}, {"inference_j": None})) is None
    elsewhere = inferences(served(ELSEWHERE))
    assert elsewhere is not None
    assert [record["inference_ratio"] for record in elsewhere.records] == [None, None]


@pytest.mark.parametrize("missing", ["dense", "found", "both"])
def test_where_inferences_were_not_measured_the_test_pass_stands_for_them_and_says_so(
    missing: str,
) -> None:
    gone = {"inference_j": None}
    results = served(gone if missing != "dense" else None, gone if missing != "found" else None)
    arm, answer = answer_of(results)
    assert not arm.each.measured
    assert answer.saving_j.mean == pytest.approx(0.006)
    table = break_even_table(results)
    assert table is not None
    assert table.records[0]["inference_basis"] == "test pass"
    assert "estimate" in table.legend
    assert "python -m harness inference" in table.legend
    assert figure_of.draw(results) is None


@pytest.mark.parametrize(
    "change",
    [
        {"inference_batch": 64},
        {"inference_runtime": "pytorch"},
        ELSEWHERE,
        {"inference_threads": 2},
    ],
)
def test_what_was_measured_in_two_ways_is_not_compared(change: dict[str, Any]) -> None:
    results = served(change)
    _, answer = answer_of(results)
    assert answer.verdict == "undecided"
    assert "measured differently" in answer.why
    assert math.isnan(answer.times)
    assert [each.arm for each in lifetimes(results)] == ["dense"]
    assert figure_of.draw(results) is None


def test_the_band_is_that_of_recipe_and_inferences_by_seed() -> None:
    dense, found = lifetimes(served())
    assert dense.energy_j(0) == energy_interval(DENSE["energy_j"])
    totals = [130 + 4, 135 + 5, 150 + 6]
    assert found.energy_j(1000) == energy_interval(totals)
    lost = served({"energy_j": [230.0, 235.0, 250.0], "lost_j": 100.0})
    assert lifetimes(lost)[1].energy_j(1000) == energy_interval(totals)


def test_lines_cross_where_the_number_says() -> None:
    results = served()
    _, answer = answer_of(results)
    dense, found = lifetimes(results)
    assert found.energy_j(answer.times).mean == pytest.approx(dense.energy_j(answer.times).mean)
    assert found.energy_j(0.9 * answer.times).mean > dense.energy_j(0.9 * answer.times).mean


def gains(**where: str) -> StudyResults:
    """Every gain is 5 % of what it is of."""
    trained = {"gain_j": [5.0, 5.5, 6.0], "energy_j": [100.0, 110.0, 120.0]}
    own = {"gain_j": [6.5, 6.75, 7.5], "energy_j": [130.0, 135.0, 150.0]}
    return served(own | where, trained | where)


def test_the_gains_of_two_devices_do_not_cancel() -> None:
    (_, one), (_, two) = answer_of(gains()), answer_of(gains(**ELSEWHERE))
    assert (one.low, one.high) == pytest.approx((answer_of(served())[1].low, one.high))
    assert two.times == pytest.approx(one.times)
    error = math.log1p(math.hypot(0.05, 0.05))
    for end in ("low", "high"):
        apart = abs(math.log(getattr(one, end) / one.times))
        widened = abs(math.log(getattr(two, end) / one.times))
        assert widened == pytest.approx(math.hypot(apart, error), rel=1e-3)
    table = break_even_table(gains(**ELSEWHERE))
    assert table is not None
    assert "NVIDIA H200 at workstation" in table.legend
    assert "cpu at board" in table.legend
    assert "do not cancel" in table.legend
    plain = break_even_table(gains())
    assert plain is not None
    assert "do not cancel" not in plain.legend


def test_two_devices_of_one_name_are_two_devices() -> None:
    board = {"inference_device": "NVIDIA H200", "inference_gpus": "GPU-1", "gpus": "GPU-0"}
    table = break_even_table(gains(**board))
    assert table is not None
    assert "another device of that name" in table.legend
    assert "do not cancel" in table.legend
    alike = break_even_table(gains(**(board | {"inference_gpus": "GPU-0"})))
    assert alike is not None
    assert "do not cancel" not in alike.legend
    unknown = break_even_table(served(board, board))  # no column of gains
    assert unknown is not None
    assert "do not cancel." in unknown.legend


def test_the_band_widens_with_two_devices() -> None:
    one, two = lifetimes(gains())[1], lifetimes(gains(**ELSEWHERE))[1]
    for count, share in ((0, 0.05), (1e9, 0.05), (138e3 / 5, math.hypot(0.025, 0.025))):
        narrow, wide = one.energy_j(count), two.energy_j(count)
        apart = math.log(narrow.high / narrow.mean)
        expected = math.hypot(apart, math.log1p(share))
        assert math.log(wide.high / wide.mean) == pytest.approx(expected, rel=1e-2)


def test_a_gain_that_is_unknown_leaves_no_interval() -> None:
    results = served(ELSEWHERE, ELSEWHERE)  # no column of gains
    _, answer = answer_of(results)
    assert answer.verdict == "undecided"
    assert "error of their sensors is unknown" in answer.why
    assert math.isnan(answer.low)
    assert answer.times > 0
    assert not lifetimes(results)[1].energy_j(10).bounded


def test_unequal_threads_widen_what_is_estimated() -> None:
    estimated = {"inference_source": "estimated", "threads_in_use": 2.0}
    (_, two) = answer_of(served(estimated, estimated, source="estimated"))
    alike = estimated | {"threads_in_use": 1.0}
    (_, one) = answer_of(served(alike, alike, source="estimated"))
    assert one.low == pytest.approx(answer_of(served())[1].low)
    assert two.high / two.times == pytest.approx(
        math.exp(math.hypot(math.log(one.high / one.times), math.log(2)))
    )


def test_each_inference_bears_its_share_of_retraining() -> None:
    _, answer = answer_of(served(inferences_per_day=100.0, retrainings_per_year=2.0))
    borne = 2 / (DAYS_PER_YEAR * 100)
    assert answer.saving_j.mean == pytest.approx(0.006 - borne * 85 / 3)
    assert answer.times == pytest.approx(85 / 3 / answer.saving_j.mean)
    results = served(inferences_per_day=100.0, retrainings_per_year=12.0)
    _, answer = answer_of(results)
    assert answer.verdict == "never"
    assert answer.saving_j.high < 0
    assert "retraining" in answer.why
    table = break_even_table(results)
    assert table is not None
    assert "100 inferences a day and 12 retrainings a year" in table.legend


def test_retraining_against_the_gains_of_two_devices_is_undecided() -> None:
    """What is saved by a few percent more than retraining takes may be nothing."""
    found, dense = ({"gain_j": 6.0} | ELSEWHERE for _ in range(2))
    found["inference_gain_j"], dense["inference_gain_j"] = 0.0015, 0.003
    same = {"energy_j": [128.0, 138.0, 148.0]}  # 28 J above dense with every seed
    per_year = 0.9 * 0.006 / 28 * DAYS_PER_YEAR * 100
    asked = {"inferences_per_day": 100.0, "retrainings_per_year": per_year}
    _, here = answer_of(served(same, **asked))
    assert here.verdict == "after"
    _, away = answer_of(served(found | same, dense, **asked))
    assert away.verdict == "undecided"
    assert away.high == math.inf
    assert 0 < away.low < here.low


def test_a_cheaper_recipe_may_be_overtaken() -> None:
    cheap = {"energy_j": [70.0, 80.0, 90.0], "inference_j": [0.020, 0.021, 0.022]}
    _, answer = answer_of(served(cheap))
    assert answer.verdict == "until"
    assert answer.times == pytest.approx(30 / 0.010)
    assert answer.price_j.high < 0 > answer.saving_j.high
    # Of a network as large as dense, a difference between two measurements is no reason.
    _, answer = answer_of(served(cheap | {"macs": 1000.0}))
    assert answer.verdict == "immediately"


def test_precision_in_training_does_not_make_an_exported_network_cheaper() -> None:
    assert answer_of(served({"macs": 1000.0, "precision": "bf16"}, {"precision": "fp32"}))[1].why
    _, answer = answer_of(served({"macs": 1000.0, "precision": "bf16"}, {"precision": "fp32"}))
    assert answer.verdict == "undecided"
    assert "not the network's doing" in answer.why


def test_a_year_of_use() -> None:
    results = served(inferences_per_day=10.0, retrainings_per_year=1.0)
    table = break_even_table(results)
    assert table is not None
    count = 10 * DAYS_PER_YEAR
    ours, theirs = (
        {seed: 2 * r + count * e for seed, (r, e) in enumerate(zip(recipe, each, strict=True))}
        for recipe, each in (
            (FOUND["energy_j"], FOUND_USED["inference_j"]),
            (DENSE["energy_j"], DENSE_USED["inference_j"]),
        )
    )
    [record] = table.records
    assert record["year_j"].mean == pytest.approx(np.mean(list(ours.values())))
    assert record["year_ratio"].mean == pytest.approx(paired_ratio(ours, theirs).mean)
    silent = break_even_table(served())
    assert silent is not None
    assert silent.records[0]["year_j"] is None
    assert not any("year" in title for title in silent.header)


@pytest.fixture(scope="module", params=["one", "four", "twelve", "odd"])
def drawn(request: pytest.FixtureRequest) -> tuple[StudyResults, Any]:
    arms = {
        "one": ["early_bird"],
        "four": ["early_bird", "rigl", "progressive", "random_ticket"],
        "twelve": LONG[1:],
        "odd": ["$x_1^{", "a<b>&c", "_hidden", "x" * 60],
    }[request.param]
    kinds: list[dict[str, Any]] = [
        {},
        {"energy_j": [70.0, 80.0, 90.0], "inference_j": [0.020, 0.021, 0.022]},
        {"inference_j": [0.009, 0.015, 0.006]},
        {"test_score": [0.3, 0.31, 0.32]},
    ]
    changed = {arm: FOUND_USED | kinds[n % len(kinds)] for n, arm in enumerate(arms)}
    results = replace(study({"dense": DENSE_USED} | changed), inferences_per_day=50.0)
    return results, figure_of.draw(results)


def test_the_figure_can_be_read(drawn: tuple[StudyResults, Any]) -> None:
    results, figured = drawn
    assert_readable(figured.figure)
    assert set(figured.frame["arm"]) == set(results.arms)


def test_the_figure_shows_the_lines_and_what_crosses(drawn: tuple[StudyResults, Any]) -> None:
    results, figured = drawn
    [axes] = figured.figure.axes
    lines = {each.arm: each for each in lifetimes(results)}
    for row in figured.frame.iloc[::20].itertuples():
        assert row.energy_j == pytest.approx(lines[row.arm].energy_j(row.inferences).mean)
    found = {each.arm: each.inferences for each in break_even(results) if each.inferences}
    decided = [each.times for each in found.values() if each.verdict in ("after", "until")]
    assert decided
    marks = [float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    assert sorted(marks) == pytest.approx(sorted(decided))
    lost = sum(each.verdict == "not credited" for each in found.values())
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(dotted) == lost


def test_what_was_estimated_or_simulated_is_reported() -> None:
    estimated = {"inference_source": "estimated"}
    figured = figure_of.draw(served(estimated, estimated, source="estimated"))
    assert figured is not None
    assert figured.figure.axes[0].get_ylabel().startswith("Estimated energy")
    figured = figure_of.draw(served(estimated, estimated))
    assert figured is not None
    assert figured.figure.axes[0].get_ylabel().startswith("Partly estimated energy")
    assert "The energy of inferences is estimated." in figured.caption
    simulated = {"inference_source": "simulated"}
    figured = figure_of.draw(served(simulated, simulated, source="simulated"))
    assert figured is not None
    assert "SIMULATED" in [text.get_text() for text in figured.figure.texts]


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    assert_same_bytes(lambda: figure_of.draw(served()), tmp_path)
