"""Reads the status of runs from the ends of their journals: fast enough for ten thousand runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Status, ends_as, is_event
from harness.settings.run_spec import RunSpec

TAIL_BYTES = 8192
"""Longer than the last line of any journal."""


def status_of(run: RunFolder) -> Status:
    """The same as `Journal(run).status`, without reading all of an undamaged journal."""
    try:
        last = _last_event(run)
    except (FileNotFoundError, NotADirectoryError):
        return "planned"
    return ends_as(last) if last else Journal(run).status


def _last_event(run: RunFolder) -> dict[str, Any] | None:
    """The event in the last whole line; None if that is not certainly an event."""
    with run.journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().split(b"\n")
    if len(lines) < 3:  # the last line may not be whole
        return None
    try:
        event = json.loads(lines[-2])
    except ValueError:
        return None
    return event if is_event(event) else None


@dataclass(frozen=True)
class Standing:
    """The status of one run.

    Attributes:
        spec: The run.
        state: "done", "failed", "running", "queued", "interrupted" or "planned"; "not needed" for a
            planned run that a rule does not call for.
        worker: The process that works on it, or its job.
        epochs: Epochs trained so far, while it is running.
        reason: Why it failed or was interrupted, if recorded.
    """

    spec: RunSpec
    state: str
    worker: str | None = None
    epochs: float | None = None
    reason: str | None = None


def roll(
    folder: StudyFolder, specs: Sequence[RunSpec], jobs: Mapping[str, str], working: frozenset[str]
) -> list[Standing]:
    """The status of each of some runs.

    Args:
        folder: The study's folder.
        specs: The runs, in the order of the result.
        jobs: The queue's description of the run's job, by the run's name.
        working: Names of runs whose job has begun.
    """
    return [_standing(folder.run(spec), spec, jobs, working) for spec in specs]


def _standing(
    run: RunFolder, spec: RunSpec, jobs: Mapping[str, str], working: frozenset[str]
) -> Standing:
    status = status_of(run)
    job = jobs.get(run.name)
    if status == "done":
        return Standing(spec, status)
    holder = run.holder()
    if holder is not None or run.name in working:
        worker = ", ".join(filter(None, (str(holder) if holder else None, job)))
        return Standing(spec, "running", worker or None, _epochs(run))
    if job is not None:
        return Standing(spec, "queued", job)
    return Standing(spec, status, reason=Journal(run).reason if status != "planned" else None)


def _epochs(run: RunFolder) -> float | None:
    trained = [event["epochs_trained"] for _, event in Journal(run).kept_events("epoch")]
    return float(trained[-1]) if trained else None
