"""What a reader is warned of before comparing: each thing where it is, and nowhere else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from reports.statistics.energy_ratio import energy_ratio
from reports.tables.warnings import warning_table
from reports.text.warnings import flag_counts, warnings
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from reports.data import StudyResults


def measured(**changes: Any) -> StudyResults:
    """A study whose measurement leaves nothing to warn of, but for what is asked."""
    return make(["dense", "early_bird"], source="counter", **changes)


def warnings_of(results: StudyResults) -> list[tuple[str, str, int]]:
    return [(each.kind, each.text, each.runs) for each in warnings(results)]


def test_flags_that_differ_in_a_share_alone_are_one_with_its_range() -> None:
    flags = [
        "other work kept 61% of the CPUs busy; throttled 3 % of the time by heat",
        "other work kept 49% of the CPUs busy",
        "other work kept 8.5% of the CPUs busy; other processes: PID 12",
        "throttled 3 % of the time by heat; other processes: PID 13",
    ]
    assert flag_counts(pd.DataFrame({"energy_flags": flags})) == {
        "other work kept 8.5 to 61% of the CPUs busy": 3,
        "throttled 3 % of the time by heat": 2,
        "other processes: PID 12": 1,
        "other processes: PID 13": 1,
    }


def test_macs_that_leave_something_out() -> None:
    results = measured()
    results.runs["macs_uncounted"] = ["aten._fft_r2c.default", "", None, "", "", ""]
    text = "MACs leave out aten._fft_r2c.default, for which no formula is known."
    assert warnings_of(results) == [("MACs", text, 1)]


def test_a_sound_study_has_none() -> None:
    assert warnings_of(measured()) == []
    assert warning_table(measured()).rows == []


@pytest.mark.parametrize("source", ["estimated", "simulated"])
def test_energy_that_no_sensor_measured(source: str) -> None:
    found = warnings_of(make(["dense", "early_bird"], source=source))
    assert found == [("standing", f"Energy is {source}: no sensor measured it.", 6)]


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("energy_source", "energy source", "sampled"),
        ("energy_scope", "energy scope", "cpu"),
        ("energy_device", "measured device", "NVIDIA A100"),
        ("device", "computing device", "cuda"),
        ("host", "host", "other"),
    ],
)
def test_runs_that_differ(column: str, kind: str, value: str) -> None:
    results = measured()
    before = results.runs[column].iloc[0]
    results.runs.loc[results.runs["arm"] == "early_bird", column] = value
    text = f"Runs differ in {kind} ({before}, {value}): compare with care."
    assert warnings_of(results) == [(kind, text, 6)]


@pytest.mark.parametrize(
    ("source", "threads", "expected"),
    [
        ("estimated", (1.0, 1.9), True),
        ("estimated", (1.0, 1.01), False),
        ("counter", (1.0, 1.9), False),
    ],
)
def test_unequal_threads_under_an_estimate(source, threads, expected) -> None:
    results = make(["dense", "early_bird"], source=source)
    plain = energy_ratio(results, "early_bird", "dense")
    used = results.runs["arm"].map(dict(zip(("dense", "early_bird"), threads, strict=True)))
    results = replace(results, runs=results.runs.assign(threads_in_use=used))
    wide = energy_ratio(results, "early_bird", "dense")
    assert ("threads in use" in [kind for kind, _, _ in warnings_of(results)]) == expected
    assert wide.mean == plain.mean
    growth = math.log(wide.high / wide.mean)
    if expected:
        assert growth >= math.log(1.9)
        assert wide.low < plain.low < plain.high < wide.high
    else:
        assert growth == pytest.approx(math.log(plain.high / plain.mean), rel=0.2)


def test_other_work_beside_an_estimate_widens_the_ratio() -> None:
    results = make(["dense", "early_bird"], source="estimated")
    plain = energy_ratio(results, "early_bird", "dense")
    gaps_j = 0.5 * results.runs["energy_j"]
    results = replace(results, runs=results.runs.assign(gap_j=gaps_j))
    wide = energy_ratio(results, "early_bird", "dense")
    assert wide.high / wide.mean > 1.5 > plain.high / plain.mean


def test_time_that_was_not_observed() -> None:
    results = measured()
    results.runs["coverage"] = [0.96, 0.9, 0.7, 1.0, 1.0, 1.0]
    text = "In 2 runs less than 95 % of the time was observed, down to 70.0 %."
    assert warnings_of(results) == [("coverage", text, 2)]


def test_what_the_recorder_saw_is_counted_flag_by_flag() -> None:
    results = measured()
    foreign, slow = "other processes on GPU-0 (PID 7)", "throttled for 5% of the time"
    results.runs["energy_flags"] = [foreign, f"{foreign}; {slow}", "", None, "", ""]
    assert warnings_of(results) == [
        ("measurement", f"Measurement of 2 runs: {foreign}.", 2),
        ("measurement", f"Measurement of one run: {slow}.", 1),
    ]


@pytest.mark.parametrize(("warmest", "count"), [(45.0, 0), (45.5, 1)])
def test_cards_that_were_not_equally_warm(warmest: float, count: int) -> None:
    results = measured()
    results.runs["start_temperature_c"] = [40.0, 41.0, 42.0, None, 40.0, warmest]
    found = warnings_of(results)
    assert len(found) == count
    if count:
        assert found[0][1].startswith("Runs started at different temperatures (40 to 46 °C)")


def test_too_few_seeds_are_named() -> None:
    found = warnings_of(measured(seeds=2))
    text = "Fewer than 3 finished seeds, so little can be shown: dense (2), early_bird (2)."
    assert found == [("seeds", text, 4)]
    [few, _] = warnings_of(measured(failed=[("early_bird", 0)]))
    assert few[1].endswith(": early_bird (2).")


def test_runs_that_did_not_finish_and_a_baseline_that_never_did() -> None:
    found = warnings_of(measured(failed=[("dense", seed) for seed in range(3)]))
    assert found == [
        ("unfinished", "3 runs did not finish; their energy is in no mean.", 3),
        ("baseline", "There is no finished run of dense, so no ratio is given.", 0),
    ]


def test_the_table_has_a_row_each() -> None:
    results = make(["dense", "early_bird"], seeds=1)
    table = warning_table(results)
    rows = [(row[0].text, row[1].text, row[2].value) for row in table.rows]
    assert rows == warnings_of(results)
    assert len(rows) == 2


CARDS = {
    "a card for every arm": (["A", "A", "A", "B", "B", "B"], "dense, early_bird"),
    "one arm on one card": (["A", "B", "A", "B", "B", "B"], "early_bird"),
    "both on both": (["A", "B", "A", "B", "A", "B"], None),
    "one card in all": (["A"] * 6, None),
    "no card": ([""] * 6, None),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_method_that_met_only_one_of_several_cards(case: str) -> None:
    gpus, arms = CARDS[case]
    results = measured()
    results.runs["gpus"] = [gpu and f"GPU-{gpu}" for gpu in gpus]
    found = [text for kind, text, _ in warnings_of(results) if kind == "one card"]
    text = f"Runs used several GPUs, but only one of them: {arms}."
    assert found == ([text] if arms else [])
