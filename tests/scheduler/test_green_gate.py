"""Runs wait for green electricity, pause at checkpoints, and end as if they had never paused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import harness as public
from harness.energy.carbon.green_times import Foreseen
from harness.energy.carbon.series import HOUR_NS
from harness.results.carbon import StudyCarbon, keep_wait
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.run_energy import Ledger
from harness.runner.worker_main import Resources
from harness.scheduler.green_gate import GreenGate
from harness.scheduler.limits import Budgets
from harness.scheduler.scheduler import RunScheduler
from harness.settings.settings import Limits
from harness.utils.jsonl import read_log
from reports.text.waiting import waiting
from tests.reports import synthetic
from tests.results.test_resume import SPECS, STUDY, assert_same_result, attempt, start
from tests.scheduler.started import called


class Clock:
    """An hour passes with every checkpoint of a run, and as much as is slept, in hours."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._slept = 0

    def time_ns(self) -> int:
        return (len(Journal(self._run).events("checkpoint")) + self._slept) * HOUR_NS

    def sleep(self, _seconds: float) -> None:
        self._slept += 1


def hours(*green: tuple[int, int], end: int = 100, afterwards: bool | None = True) -> Foreseen:
    open_ns = tuple((start * HOUR_NS, end * HOUR_NS) for start, end in green)
    return Foreseen("test", open_ns, end * HOUR_NS, afterwards)


def test_a_run_pauses_at_a_checkpoint_and_resumes_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine that is busy, too, the pause comes while there is something left to train.
    monkeypatch.setattr("harness.scheduler.run_process.POLL_S", 0.02)
    spec = SPECS[0].model_copy(
        update={"training": SPECS[0].training.model_copy(update={"epochs": 12})}
    )
    reference = start(spec, tmp_path / "at once")
    attempt(spec, reference)
    study = StudyFolder(tmp_path / "green")
    folder = study.run(spec)
    shown: list[str] = []
    # Open from hour 2; after the first checkpoint it closes until hour 6, and for good at 100.
    gate = GreenGate(hours((2, 3), (6, 100)), shown.append, Clock(folder))
    budgets = Budgets(Limits(), [folder])
    scheduler = RunScheduler(study, budgets, lambda _: [], gate=gate)
    outcome = scheduler.run_if_needed(spec, Resources(), lambda *_: None)
    assert outcome.status == "done", outcome.note
    journal = Journal(folder)
    first, second = journal.attempts
    assert (first.restored, second.restored) == (0, len(first_saves(folder)))
    assert first.events[-1]["reason"].startswith("paused at a checkpoint")
    assert_same_result(folder, reference)
    waits = read_log(folder.waits)
    assert waits[0]["waited_s"] == 2 * 3600
    assert waits[1]["behind_s"] == waits[0]["waited_s"] + waits[1]["waited_s"]
    assert len(shown) == 2


def first_saves(folder: RunFolder) -> list[int]:
    events = Journal(folder).attempts[0].events
    return [each["number"] for each in events if each["event"] == "checkpoint"]


def test_where_the_series_ends_the_study_ends_in_order(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    folder = study.run(SPECS[0])
    gate = GreenGate(hours(end=3, afterwards=None), lambda _: None, Clock(folder))
    scheduler = RunScheduler(study, Budgets(Limits(), [folder]), lambda _: [], gate=gate)
    outcome = scheduler.run_if_needed(SPECS[0], Resources(), lambda *_: None)
    assert outcome.reached
    assert outcome.reached.ends_study
    assert outcome.status == "planned"
    assert "carbon.series" in outcome.reached.remedy


@pytest.fixture
def waited(tmp_path: Path) -> Ledger:
    """A finished run of known power that has waited two hours; the grid was at 100, now 50 g."""
    folder = start(SPECS[0], tmp_path)
    now = datetime.now(UTC)
    rows = [(now - timedelta(hours=9 - n), 100 if n < 8 else 50) for n in range(12)]
    text = "".join(f"{time.isoformat()},{grams}\n" for time, grams in rows)
    (tmp_path / "carbon_series.csv").write_text(f"time,g_per_kwh\n{text}")
    settings = StudyFolder(tmp_path).settings
    saved = {"schema_version": 1, **STUDY, "carbon": {"series": "grid.csv"}}
    settings.write_text(json.dumps(saved))
    keep_wait(folder, 1, 5.0, 5.0, "of an attempt that never began")
    keep_wait(folder, 1, 7200.0, 7200.0, "below 80 g/kWh")
    attempt(SPECS[0], folder)
    return Ledger(folder)


def test_what_waiting_saved_is_the_same_energy_counted_earlier(waited: Ledger) -> None:
    carbon = StudyCarbon(StudyFolder(waited.folder.path.parents[2]))
    found = carbon.waiting(waited)
    assert found
    assert found.waited_s == 7205.0
    kwh = waited.outer.energy_j / 3.6e6
    assert carbon.here(waited).kg == pytest.approx(kwh * 0.05)
    assert found.at_once_kg == pytest.approx(kwh * 0.1)


def test_damaged_waits_are_left_out(waited: Ledger) -> None:
    carbon = StudyCarbon(StudyFolder(waited.folder.path.parents[2]))
    for line in ('{"attempt": 1}', "[]", '{"attempt": 1, "waited_s": 1e99, "behind_s": 1e99}'):
        waited.folder.waits.write_text(line + "\n")
        assert carbon.waiting(waited) is None


def test_the_report_says_what_was_saved_and_what_waiting_cost() -> None:
    results = synthetic.make(("dense",), seeds=2)
    assert waiting(results) == "", "nothing was to wait"
    for idle_j, word in ((math.nan, "was not measured"), (50.0, "7200 J")):
        runs = results.runs.assign(
            waited_s=[3600.0, 7200.0],
            co2e_kg=[0.003, 0.003],
            co2e_at_once_kg=[0.004, 0.004],
            idle_energy_j=idle_j,
            duration_s=75.0,
        )
        text = waiting(replace(results, runs=runs))
        assert "3.0 h" in text
        assert "25 % less" in text
        assert word in text


NO_SERIES = ("--when-below", "100")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (NO_SERIES, "carbon.series"),
        ((*NO_SERIES, "--greenest-within", "24h"), "not together"),
        (("--when-below", "0"), "--when-below"),
        (("--greenest-within", "soon"), "is not a number with a unit"),
    ],
)
def test_wrong_input_is_found_before_any_training(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    ended = called("dense", "--out", str(tmp_path / "out"), *words)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_study_below_a_threshold_runs_and_reports(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    rows = "".join(f"{(now + timedelta(hours=h)).isoformat()},{60 + h}\n" for h in range(-3, 4))
    (tmp_path / "grid.csv").write_text(f"time,g_per_kwh\n{rows}")
    words = ("dense", "--seed", "0", "--set", "training.epochs=1", "--set")
    words += (f"carbon.series={tmp_path / 'grid.csv'}", "--out", str(tmp_path / "out"))
    slurm = called(*words, "--when-below", "70", "--engine", "slurm")
    assert slurm.returncode == 2, slurm.stderr
    assert "engine.slurm.options.begin" in slurm.stderr
    ended = called(*words, "--when-below", "70")
    assert ended.returncode == 0, ended.stderr
    assert "Waiting for green electricity took 0.0 h" in ended.stdout
    [row] = public.load(tmp_path / "out").to_dict("records")
    assert row["waited_s"] < 60
    assert row["co2e_at_once_kg"] == pytest.approx(row["co2e_kg"], rel=0.05)
