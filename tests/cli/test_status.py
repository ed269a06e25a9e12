"""How the runs of a study stand."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.status import status_of
from tests.scheduler.started import called, runs_of, started, wait_until

WORDS = ("dense", "early_bird", "--no-report", "--set", "training.epochs=200")


def test_every_state_is_reported(tmp_path: Path) -> None:
    out = tmp_path / "out"
    seeds = ("--seed", "0", "--seed", "1", "--out", str(out))
    first = started(tmp_path, *WORDS, *seeds)

    def has_trained() -> bool:
        return any(Journal(run).events("epoch") for run in runs_of(out).values())

    try:
        wait_until(has_trained, "a run has trained an epoch")
        ended = called("status", str(out))
        assert ended.returncode == 0
        assert "4 runs: 1 running, 3 planned" in ended.stdout
        assert "epochs trained; process" in ended.stdout
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate()
    ended = called("status", str(out))
    assert "4 runs: 1 interrupted, 3 planned" in ended.stdout
    assert "to resume the remaining runs" in ended.stdout
    table = json.loads(called("status", str(out), "--json").stdout)
    assert table["counts"] == {"interrupted": 1, "planned": 3}
    assert [run["seed"] for run in table["runs"]].count(0) == 2


def test_where_there_are_no_results_it_says_so(tmp_path: Path) -> None:
    ended = called("status", str(tmp_path))
    assert ended.returncode == 2
    assert "no results here" in ended.stderr


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ['{"event":"attempt","time_ns":1,"number":1,"restored":0}'],
        [
            '{"event":"attempt","time_ns":1,"number":1,"restored":0}',
            '{"event":"end","time_ns":2,"status":"done"}',
        ],
        [
            '{"event":"attempt","time_ns":1,"number":1,"restored":0}',
            '{"event":"end","time_ns":2,"status":"failed"}',
            '{"event":"atte',
        ],
        [
            '{"event":"attempt","time_ns":1,"number":1,"restored":0}',
            '{"event":"died","time_ns":2,"status":"interrupted"}',
            "damaged",
        ],
        [
            '{"event":"attempt","time_ns":1,"number":1,"restored":0}',
            '{"event":"record","time_ns":2,"facts":{"long":"' + "x" * 20_000 + '"}}',
        ],
        ['{"event":"end","time_ns":2,"status":"done"}'],
    ],
    ids=["empty", "under way", "done", "torn", "damaged", "long", "headless"],
)
@pytest.mark.parametrize("ends", ["", "\n"])
def test_a_glance_sees_what_reading_all_of_it_shows(
    lines: list[str], ends: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    run.journal.write_text("\n".join(lines) + ends)
    assert status_of(run) == Journal(run).status
