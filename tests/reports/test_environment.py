"""Protocol and environment: every setting, and every value that runs differ in."""

from __future__ import annotations

from dataclasses import replace

from reports.tables.every_run import environment, every_attempt, every_run
from tests.reports.details import detailed
from tests.reports.synthetic import make


def test_settings_versions_and_machines_are_listed() -> None:
    results = detailed(make(["dense", "early_bird"], seeds=2))
    rows = {row[0].text: row[1].text for row in environment(results).rows}
    assert rows["seeds"] == "0, 1"
    assert rows["workload.model"] == "vgg_small"
    assert rows["training.precision"] == "fp32"
    assert rows["energy.meters"] == "nvml, rapl, estimate"
    assert rows["host"] == "workstation"
    assert rows["CPU threads"] == "2"
    assert (rows["python"], rows["torch"]) == ("3.11.7", "2.13.0")
    assert "its name" not in rows


def test_what_runs_differ_in_is_counted() -> None:
    results = detailed(make(["dense"], seeds=2))
    results.attempts["host"] = ["one", "two", "two"]
    results.attempts.loc[0, "versions"] = '{"torch": "2.11.0"}'
    variants = {"lean": {"workload": {"input": "resident"}, "training": {"fused": False}}}
    changed = replace(results, settings={"variants": variants, "carbon": {"also": []}})
    rows = {row[0].text: row[1].text for row in environment(changed).rows}
    assert rows["host"] == "one (1), two (2) of 3 attempts"
    assert rows["torch"] == "2.11.0 (1), 2.13.0 (2) of 3 attempts"
    assert rows["python"] == "3.11.7"
    assert rows["variants.lean.workload.input"] == "resident"
    assert rows["variants.lean.training.fused"] == "false"
    assert rows["carbon.also"] == "–"


def test_attempts_are_shown_where_there_were_several() -> None:
    results = detailed(make(["dense", "early_bird"]))
    table = every_attempt(results)
    assert table is not None
    assert [(row[0].text, row[1].text, row[2].text) for row in table.rows] == [
        ("dense", "1", "1"),
        ("dense", "1", "2"),
        ("early_bird", "1", "1"),
        ("early_bird", "1", "2"),
    ]
    assert table.failed == {0, 2}
    once = results.attempts["attempt"] == 1
    assert every_attempt(replace(results, attempts=results.attempts[once])) is None


def test_every_run_says_on_which_card_it_began_how_warm() -> None:
    results = make(["dense"], seeds=2)
    assert "GPU" not in every_run(results).header
    results.runs["gpus"] = ["GPU-a", None]
    results.runs["start_temperature_c"] = [41.0, None]
    table = every_run(results)
    assert table.header[-2:] == ["GPU", "Start, °C"]
    assert [[cell.text for cell in row[-2:]] for row in table.rows] == [["GPU-a", "41"], ["", "–"]]
