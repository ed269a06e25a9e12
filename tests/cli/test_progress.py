"""What a person sees while a study runs: nothing is cut off, and a search counts its epochs."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.cli.progress import Length, LiveBar, Progress
from harness.method.dry_run import max_epochs, planned_epochs
from harness.method.phases import Budget
from harness.results.folder import RunFolder
from harness.scheduler.scheduler import RunOutcome
from harness.settings.metric import BITS_PER_BYTE
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.utils.jsonl import LogWriter

LONG = "[12/30] lottery_ticket rounds=2 fraction=0.5, seed 11: evaluation · level 2 epoch 10/16"


class Seen:
    """A display that keeps what it is given."""

    def __init__(self) -> None:
        self.epochs: list[str] = []

    def epoch(self, text: str, _share: float, /) -> None:
        self.epochs.append(text)

    def now(self, text: str, share: float, /) -> None:
        pass

    def line(self, text: str, /) -> None:
        pass


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_times_are_whole_at_every_width(width: int) -> None:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    with LiveBar(console) as bar:
        bar.epoch(LONG, 0.05)
        shown = console.render_lines(bar._bar.get_renderable(), pad=False)
    lines = ["".join(segment.text for segment in line) for line in shown]
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)
    assert " 5 %" in lines[0]
    assert "0:00:0" in lines[0].partition("elapsed")[0]
    assert lines[0].rstrip().endswith("left")
    assert "…" not in lines[0]
    assert lines[1].startswith("[12/30] lottery_ticket")


def test_runs_that_are_not_called_for_do_not_count(tmp_path: Path) -> None:
    study = Study.model_validate(
        {"name": "one", "seeds": {"min": 2, "max": 4}, "methods": {"dense": {}, "snip": {}}}
        | {"workload": {"data": "digits", "model": "vgg_small"}}
    )
    specs = sorted(expand(study, Registry.discover()), key=lambda spec: spec.seed)
    shown: list[tuple[str, float]] = []
    display = SimpleNamespace(
        now=lambda _text, share: shown.append(("", share)),
        line=lambda text: shown.append((text, shown[-1][1] if shown else 0.0)),
    )
    progress = Progress(specs, [Length(10)] * len(specs), display)  # type: ignore[arg-type]
    progress.expect(specs[:4])
    for spec in specs[:4]:
        progress.finish(RunOutcome(spec, RunFolder(tmp_path), "done"))
    assert shown[-2][0] == f"[4/4] {specs[3].method}, seed 1: done already"
    assert shown[-1][1] == 1
    progress.expect([*specs[:5]])
    progress.finish(RunOutcome(specs[4], RunFolder(tmp_path), "done"))
    assert shown[-2] == (f"[5/5] {specs[4].method}, seed 2: done already", 1)


def followed(tmp_path: Path, events: list[dict[str, Any]]) -> list[str]:
    """The lines that a journal of early_bird with these events gives, without their figures."""
    seen, folder = Seen(), RunFolder(tmp_path)
    method = Registry.discover().get("early_bird")()
    length = Length(planned_epochs(method, Budget(16)), max_epochs(method, Budget(16)))
    progress = Progress([spec()], [length], seen)
    log = LogWriter(folder.journal)
    for event in events:
        log.append({"loss": 1.0, "val_score": 0.5, "time_ns": 1} | event)
        progress.look(spec(), folder)
    log.close()
    return [line.partition(": ")[2].partition(" · ")[0] for line in seen.epochs]


def spec() -> RunSpec:
    study = Study(
        name="one",
        seeds=(0,),
        workload={"data": "digits", "model": "vgg_small"},
        methods={"early_bird": {}},
    )
    return expand(study, Registry.discover())[0]


def epoch(name: str, number: int, last: int, trained: int) -> dict[str, Any]:
    return {
        "event": "epoch",
        "window": name,
        "epoch": number,
        "of": last,
        "epochs_trained": trained,
    }


def attempt(number: int, restored: int) -> dict[str, Any]:
    return {"event": "attempt", "number": number, "restored": restored}


def test_a_search_epoch_by_epoch_counts_them(tmp_path: Path) -> None:
    search = [epoch("search", 1, 1, n) for n in range(1, 8)]
    retrain = [epoch("retrain", n, 9, 7 + n) for n in (1, 2)]
    assert followed(tmp_path, [attempt(1, 0), *search, *retrain]) == [
        *(f"search epoch {n}/8" for n in range(1, 8)),
        "retrain epoch 1/9",
        "retrain epoch 2/9",
    ]


def test_an_epoch_without_a_look_is_reported_and_one_that_ends_the_run_not_counted_twice(
    tmp_path: Path,
) -> None:
    unseen = epoch("retrain", 1, 1, 1) | {"val_score": None}
    looked = {key: value for key, value in epoch("retrain", 1, 1, 1).items() if key != "loss"}
    folder, seen = RunFolder(tmp_path), Seen()
    progress = Progress([spec()], [Length(1, {})], seen)
    log = LogWriter(folder.journal)
    for event in (attempt(1, 0), unseen | {"loss": 1.0}, looked | {"val_score": 0.5}):
        log.append({"time_ns": 1} | event)
        progress.look(spec(), folder)
    log.close()
    first, last = (line.partition(": ")[2] for line in seen.epochs)
    assert first.startswith("retrain epoch 1/1 · loss 1.000 · ")
    assert "validation" not in first
    assert last.startswith("retrain epoch 1/1 · validation 50.0% · ")


def test_a_journal_that_called_scores_accuracies_is_followed_too(tmp_path: Path) -> None:
    seen = Seen()
    progress = Progress([spec()], [Length(1, {})], seen)
    log = LogWriter(RunFolder(tmp_path).journal)
    for event in (attempt(1, 0), epoch("retrain", 1, 1, 1) | {"loss": 1.0, "val_accuracy": 0.5}):
        log.append({"time_ns": 1} | event)
    log.close()
    progress.look(spec(), RunFolder(tmp_path))
    assert "validation 50.0%" in seen.epochs[-1]


def test_a_score_has_the_unit_of_its_metric(tmp_path: Path) -> None:
    seen = Seen()
    progress = Progress([spec()], [Length(1, {})], seen)
    log = LogWriter(RunFolder(tmp_path).journal)
    named = {"event": "metric", **BITS_PER_BYTE.to_json()}
    for event in (attempt(1, 0), named, epoch("train", 1, 1, 1) | {"loss": 1.0, "val_score": 1.8}):
        log.append({"time_ns": 1} | event)
    log.close()
    progress.look(spec(), RunFolder(tmp_path))
    assert "validation 1.800 bits per byte" in seen.epochs[-1]


def test_work_that_was_lost_is_not_counted_twice(tmp_path: Path) -> None:
    saved = {"event": "checkpoint", "number": 1, "phase": 1, "epoch": 0}
    events = [
        attempt(1, 0),
        epoch("search", 1, 1, 1),
        saved,
        epoch("search", 1, 1, 2),
        attempt(2, 1),
        epoch("search", 1, 1, 2),
    ]
    assert followed(tmp_path, events) == [f"search epoch {n}/8" for n in (1, 2, 2)]
