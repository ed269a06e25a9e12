"""Which lines of a journal are events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.results.folder import RunFolder
from harness.results.journal import Journal, in_todays_keys, is_event
from harness.results.journal_writer import JournalWriter
from harness.utils.jsonl import LogWriter, read_log
from tests.results.test_resume import SPECS, attempt, start

ATTEMPT = {"event": "attempt", "time_ns": 5, "number": 1, "restored": 0}


@pytest.mark.parametrize(
    "line",
    [
        None,
        [],
        "attempt",
        {},
        {"event": "border"},
        {"event": "border", "time_ns": 1},
        {"event": "border", "time_ns": 1, "window": 7},
        {"event": "border", "time_ns": 1.5, "window": "x"},
        {"event": "border", "time_ns": -1, "window": "x"},
        {"event": "border", "time_ns": True, "window": "x"},
        {"event": "border", "time_ns": 2**63, "window": "x"},
        {"event": ["border"], "time_ns": 1, "window": "x"},
        {"event": "end", "time_ns": 1, "status": "splendid"},
        {"event": "end", "time_ns": 1, "status": []},
        {"event": "record", "time_ns": 1, "facts": [1]},
        ATTEMPT | {"number": "../../x"},
        ATTEMPT | {"restored": None},
    ],
)
def test_what_readers_cannot_rely_on_is_none(line) -> None:
    assert not is_event(line)


@pytest.mark.parametrize("kind", ["epoch", "result"])
def test_scores_that_older_versions_called_accuracies_have_the_names_of_today(kind: str) -> None:
    old = {"event": kind, "test_accuracy": 0.5, "val_accuracy": None}
    assert in_todays_keys(old) == {"event": kind, "test_score": 0.5, "val_score": None}
    assert in_todays_keys({"event": "record", "val_accuracy": 1}) == {
        "event": "record",
        "val_accuracy": 1,
    }


def test_events_of_kinds_to_come_are_passed_on() -> None:
    assert is_event({"event": "something new", "time_ns": 1, "more": [1, 2]})


def test_all_that_a_run_writes_is(tmp_path: Path) -> None:
    folder = start(next(spec for spec in SPECS if spec.method == "early_bird"), tmp_path)
    attempt(folder.read_spec(), folder)
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    assert all(map(is_event, lines))
    assert {"attempt", "dense", "epoch", "size", "result"} <= {line["event"] for line in lines}
    assert Journal(folder).damaged_lines == 0


@pytest.mark.parametrize(("call", "kinds"), [("write", []), ("fsync", ["attempt", "end"])])
def test_an_attempt_that_is_stopped_as_it_begins_ends_if_it_is_on_record(
    call: str, kinds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "journal.jsonl"
    journal = JournalWriter(path, lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(f"os.{call}", stopped)
        with pytest.raises(KeyboardInterrupt):
            journal.event("attempt", durable=True, number=1, restored=0)
    journal.end("interrupted")
    assert [line["event"] for line in read_log(path)] == kinds


def test_an_attempt_that_goes_back_in_number_or_time_is_damage(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = LogWriter(folder.journal)
    for line in (
        ATTEMPT,
        {"event": "border", "time_ns": 9, "window": "a"},
        {"event": "border", "time_ns": 7, "window": "b"},
        ATTEMPT | {"time_ns": 1},
        ATTEMPT | {"time_ns": 1, "number": 2},
        {"event": "end", "time_ns": 2, "status": "done"},
    ):
        log.append(line)
    log.close()
    journal = Journal(folder)
    assert journal.damaged_lines == 2
    assert [len(each.events) for each in journal.attempts] == [2, 2]
    assert journal.status == "done"
