"""Interrupted anywhere and run again, a run ends as if nothing had happened, and every joule stays.

The trace is written by the test: a counter that rises by a known power, so that the energy of every
window is known to the last digit.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.energy.sensors.base import Sensor
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.journal_writer import JournalWriter
from harness.results.run_energy import Ledger
from harness.results.table import Tables
from harness.runner import attempt as training
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.utils.jsonl import LogWriter, read_log
from tests.conftest import Cases

POWER_W = 40.0
STUDY: dict[str, Any] = {
    "name": "tiny",
    "seeds": [0],
    "workload": {"data": "digits", "model": "vgg_tiny", "train_samples": 320},
    "training": {"epochs": 4, "batch_size": 64, "schedule": "cosine", "crop_padding": 1},
    "methods": {
        "dense": {},
        "progressive": {"rounds": 2, "retrain_epochs": 2, "retrain": ["rewind", "finetune"]},
        "lottery_ticket": {"rounds": [1], "structured": [False, True]},
        "early_bird": {"window": 2, "max_distance": [0.3, 0.001], "reinit": [False, True]},
    },
}
SPECS = expand(Study(**STUDY), Registry.discover())


class _Interrupted(JournalWriter):
    """A journal that stops the run, as SIGTERM would, right before or after a chosen event."""

    stop_at: tuple[str, int] = ("", 0)
    after = True

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        kind, count = self.stop_at
        if name == kind:
            type(self).stop_at = (kind, count - 1)
        hit = name == kind and count == 1
        if hit and not self.after:
            raise training.Stopped
        super().event(name, durable=durable, **values)
        if hit:
            raise training.Stopped


def start(spec: RunSpec, study: Path) -> RunFolder:
    folder = StudyFolder(study).run(spec)
    folder.path.mkdir(parents=True)
    folder.spec.write_text(spec.model_dump_json())
    StudyFolder(study).settings.write_text(json.dumps({"schema_version": 1, **STUDY, "carbon": {}}))
    return folder


def attempt(spec: RunSpec, folder: RunFolder) -> None:
    """One process' worth of work, and the trace that a recorder would have left beside it."""
    training.attempt(training.RunContext(spec, folder, torch.device("cpu")), lambda: None)
    events = Journal(folder).attempts[-1].events
    sensor = Sensor("GPU-0", "test", "gpu", "energy", "simulated", 0.05)
    trace = LogWriter(folder.trace(len(Journal(folder).attempts)))
    trace.append({"sensors": [sensor.to_json()], "notes": [], "period_s": 0.05})
    first, last = events[0]["time_ns"], events[-1]["time_ns"]
    for time_ns in range(first - 1_000_000, last + 50_000_000, 10_000_000):
        trace.append([0, time_ns, time_ns * 1e-9 * POWER_W])
    trace.close()


def stop_after_every_phase(spec: RunSpec, folder: RunFolder) -> None:
    """Begin the run again and again until it is done; the journal must be an `_Interrupted`."""
    stops = 0
    while Journal(folder).status != "done":
        # First stop before the phase is kept, so that it is done again; then right after.
        _Interrupted.stop_at = ("checkpoint", 1) if stops % 2 else ("answer", 1)
        attempt(spec, folder)
        stops += 1
        assert stops < 100, Journal(folder).reason
    assert stops > len(Journal(folder).answers()) // 2


def final_weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    saved = torch.load(folder.checkpoint, weights_only=True)
    return saved["state"]["network"]


def assert_whole(folder: RunFolder) -> Ledger:
    """Windows tile every attempt, and the total is power x time worked: nothing twice or lost."""
    ledger = Ledger(folder)
    worked_s = sum(
        (each.events[-1]["time_ns"] - each.events[0]["time_ns"]) * 1e-9
        for each in ledger.journal.attempts
    )
    assert ledger.outer.energy_j == pytest.approx(POWER_W * worked_s, rel=1e-6)
    by_window = sum(entry.joules.energy_j for entry in ledger.entries)
    assert by_window == pytest.approx(ledger.outer.energy_j, rel=1e-6)
    for before, after in pairwise(ledger.entries):
        if before.window.attempt == after.window.attempt:
            assert before.window.end_ns == after.window.start_ns
    return ledger


def assert_same_result(folder: RunFolder, reference: RunFolder) -> None:
    ours, theirs = final_weights(folder), final_weights(reference)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    [mine], [other] = (Journal(each).events("result") for each in (folder, reference))
    assert {k: v for k, v in mine.items() if k != "time_ns"} == {
        k: v for k, v in other.items() if k != "time_ns"
    }


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """Every run, uninterrupted."""
    study = tmp_path_factory.mktemp("reference")
    folders = {}
    for spec in SPECS:
        folders[spec.key] = start(spec, study)
        attempt(spec, folders[spec.key])
    return folders


def test_a_search_without_a_ticket_is_on_record_and_trains_on(
    references: dict[str, RunFolder],
) -> None:
    strict = [s for s in SPECS if s.hyperparameters.get("max_distance") == 0.001]
    assert len(strict) == 2
    for spec in strict:
        journal = Journal(references[spec.key])
        [record] = journal.events("record")
        assert record["facts"] == {"ticket_emerged": False, "ticket_epoch": 2}
        [result] = journal.events("result")
        assert result["epochs_trained"] == (6 if spec.hyperparameters["reinit"] else 4)
        assert result["parameters"] < journal.events("dense")[0]["parameters"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.title)
def test_interrupted_after_every_phase(
    spec: RunSpec,
    references: dict[str, RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    folder = start(spec, tmp_path)
    stop_after_every_phase(spec, folder)
    assert_same_result(folder, references[spec.key])
    ledger = assert_whole(folder)
    assert sum(e.joules.energy_j for e in ledger.entries if e.label == "lost") > 0


KINDS = ("border", "epoch", "checkpoint", "phase", "result")


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.title)
def test_interrupted_at_any_event(
    spec: RunSpec,
    kind: str,
    references: dict[str, RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cases: Cases,
) -> None:
    """Of every four kinds of event in turn one, right before and right after it in turn."""
    place = SPECS.index(spec) + KINDS.index(kind)
    if place % 4 and not cases(0, 1):
        pytest.skip("tried with --torture")
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    first = place // 4 % 2
    for number in range(first, first + cases(1, 2)):
        monkeypatch.setattr(_Interrupted, "after", bool(number % 2))
        _interrupted_at(spec, kind, references, tmp_path / str(number))


def _interrupted_at(
    spec: RunSpec, kind: str, references: dict[str, RunFolder], study: Path
) -> None:
    folder = start(spec, study)
    happened = len(Journal(references[spec.key]).events(kind))
    for count in {1, (happened + 1) // 2, happened}:
        _Interrupted.stop_at = (kind, count)
        attempt(spec, folder)
    _Interrupted.stop_at = ("", 0)
    attempt(spec, folder)
    final, reference = final_weights(folder), final_weights(references[spec.key])
    assert all(torch.equal(value, reference[name]) for name, value in final.items())
    assert_whole(folder)


def test_lost_work_is_counted_and_called_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second epoch's evaluation: the second epoch is lost, the first is kept."""
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    spec = SPECS[0]
    folder = start(spec, tmp_path)
    _Interrupted.stop_at = ("epoch", 2)
    attempt(spec, folder)
    attempt(spec, folder)
    [checkpoint] = [
        event for event in Journal(folder).attempts[0].events if event["event"] == "checkpoint"
    ]
    first = Journal(folder).attempts[0].events
    # Lost is what came after the window that wrote the checkpoint.
    [resumes] = [
        following["time_ns"]
        for before, following in pairwise(first)
        if before is checkpoint or before["time_ns"] == checkpoint["time_ns"]
    ]
    expected = POWER_W * (first[-1]["time_ns"] - resumes) * 1e-9
    table = Tables(tmp_path).runs
    assert table["lost_j"][0] == pytest.approx(expected, rel=1e-6)
    assert table["attempts"][0] == 2
    curves = Tables(tmp_path).curves
    assert list(curves["epochs_trained"]) == [1, 2, 3, 4]
    assert curves["energy_j"].is_monotonic_increasing


def test_a_method_that_answers_differently_on_resuming_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    spec = SPECS[0].model_copy(update={"method": "progressive", "hyperparameters": {"rounds": 1}})
    folder = start(spec, tmp_path)
    _Interrupted.stop_at = ("answer", 2)
    attempt(spec, folder)
    other = spec.model_copy(update={"hyperparameters": {"rounds": 1, "l1_gamma": 0.5}})
    attempt(other, folder)
    assert Journal(folder).status == "failed"
    assert "deterministic function" in (Journal(folder).reason or "")


def test_a_torn_journal_line_costs_nothing(
    references: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    spec = SPECS[0]
    folder = start(spec, tmp_path)
    _Interrupted.stop_at = ("epoch", 2)
    attempt(spec, folder)
    with folder.journal.open("ab") as file:
        file.write(b'{"event":"bor')
    attempt(spec, folder)
    assert_same_result(folder, references[spec.key])
    assert_whole(folder)
    assert len(read_log(folder.journal)) > 10
