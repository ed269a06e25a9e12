"""Reads the journal of a run: attempts, energy windows, answers, and work that was lost.

Events are JSON objects with `event` and `time_ns` (monotonic clock); results/README.md lists them.
A journal may come from anywhere, so every line is checked before it counts as an event.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.results.folder import RunFolder
from harness.settings.metric import ACCURACY, Metric
from harness.utils.jsonl import LogReader

Status = Literal["planned", "running", "interrupted", "failed", "done", "damaged"]

OVERHEAD = "overhead"
"""Window of work outside of phases: loading data, building the network, resuming."""
TEST = "test"
"""Window of the test."""
LOST = "lost"
"""Label of windows whose work was lost, because the attempt ended before a checkpoint."""


@dataclass(frozen=True)
class Window:
    """One energy window: from a border to the next.

    Attributes:
        attempt: Counts from 1.
        label: The phase's window, or what the harness did ("evaluation", "checkpoint", ...).
        start_ns: Monotonic clock of the attempt.
        end_ns: Where the next window begins.
        checkpoint: How many checkpoints of the run were complete when the window began.
    """

    attempt: int
    label: str
    start_ns: int
    end_ns: int
    checkpoint: int


@dataclass
class Attempt:
    """One process that worked on the run.

    Attributes:
        number: Counts from 1.
        restored: The checkpoint it started from; 0 is from scratch.
        events: All events, in order.
    """

    number: int
    restored: int
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def start_ns(self) -> int:
        """When its outer window began."""
        return int(self.events[0]["time_ns"])

    @property
    def has_ended(self) -> bool:
        """Whether it closed its last window itself."""
        return bool(self.events[-1]["event"] == "end")

    def windows(self, end_ns: int, checkpoint: int) -> list[Window]:
        """Its windows, tiling the time from its start to `end_ns`."""
        borders = [(self.start_ns, OVERHEAD, checkpoint)]
        for event in self.events:
            if event["event"] == "checkpoint":
                checkpoint = event["number"]
            elif event["event"] == "border":
                borders.append((event["time_ns"], event["window"], checkpoint))
        ends = [start for start, _, _ in borders[1:]] + [end_ns]
        return [
            Window(self.number, label, start, end, saved)
            for (start, label, saved), end in zip(borders, ends, strict=True)
            if end > start
        ]


class Journal:
    """The events of one run.

    Attributes:
        attempts: One per process that worked on it.
        damaged_lines: How many lines could not be read; they are left out.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.attempts: list[Attempt] = []
        self.damaged_lines = 0
        log = LogReader(folder.journal)
        for event in map(in_todays_keys, log.new()):
            if not is_event(event) or self._comes_too_late(event):
                self.damaged_lines += 1
                continue
            if event["event"] == "attempt":
                self.attempts.append(Attempt(event["number"], event["restored"]))
            if self.attempts:
                self.attempts[-1].events.append(event)
        self.damaged_lines += log.torn_lines

    def _comes_too_late(self, event: dict[str, Any]) -> bool:
        """Whether an event, or an attempt, cannot follow those before it."""
        if not self.attempts:
            return False
        if event["event"] == "attempt":
            return bool(event["number"] <= self.attempts[-1].number)
        return bool(event["time_ns"] < self.attempts[-1].events[-1]["time_ns"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All events of a kind, from all attempts."""
        return [e for attempt in self.attempts for e in attempt.events if e["event"] == kind]

    @property
    def status(self) -> Status:
        """The run's status; "interrupted" if the process died without an `end`."""
        if not self.attempts:
            return "planned"
        return ends_as(self.attempts[-1].events[-1])

    @property
    def reason(self) -> str | None:
        """Why the last attempt did not finish, if recorded."""
        last = self.attempts[-1].events[-1] if self.attempts else {}
        return last.get("reason") if last.get("event") in ("end", "died") else None

    @property
    def metric(self) -> Metric:
        """What its scores are; accuracies in records that name no metric.

        Raises:
            ValueError: No score can be what is recorded.
        """
        recorded = self.events("metric")
        return Metric.from_json(recorded[-1]) if recorded else ACCURACY

    def kept_events(self, *kinds: str) -> Iterator[tuple[Attempt, dict[str, Any]]]:
        """Events of some kinds whose work was kept, in order, with their attempts."""
        for attempt in self.attempts:
            checkpoint = attempt.restored
            for event in attempt.events:
                if event["event"] == "checkpoint":
                    checkpoint = event["number"]
                elif event["event"] in kinds and self.kept(attempt, checkpoint):
                    yield attempt, event

    def evaluations(self) -> Iterator[tuple[Attempt, dict[str, Any]]]:
        """Evaluations on validation data whose work was kept, in order, with their attempts."""
        for attempt, event in self.kept_events("epoch"):
            if event.get("val_score") is not None:
                yield attempt, event

    def answers(self) -> dict[int, dict[str, Any]]:
        """The last answer to every phase, by its index, with the phase's description."""
        return {event["phase"]: event for event in self.events("answer")}

    def kept(self, attempt: Attempt, checkpoint: int) -> bool:
        """Whether work that `attempt` did after `checkpoint` was kept by the later attempts."""
        return all(
            later.restored > checkpoint for later in self.attempts if later.number > attempt.number
        )


RENAMED = {"test_accuracy": "test_score", "val_accuracy": "val_score"}
"""From keys of journals and columns of tables in formats 1 and 2 to those of today."""


def in_todays_keys(line: Any) -> Any:
    """A line of a journal of any format, with the keys of this one."""
    if not isinstance(line, dict) or line.get("event") not in ("epoch", "result"):
        return line
    return {RENAMED.get(key, key): value for key, value in line.items()}


def ends_as(last: dict[str, Any]) -> Status:
    """The status of a run with this last event."""
    status: Status = last["status"] if last["event"] in ("end", "died") else "interrupted"
    return status


MAX_COUNT = 2**63
"""Integers are below this, so that they fit into 64 bits."""
_STATUSES = frozenset({"interrupted", "failed", "done"})

Check = Callable[[Any], bool]


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_COUNT and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _clocks(value: Any) -> bool:
    keys = ("node", "time_ns", "uncertainty_ns")
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and all(_count(each.get(key)) for key in keys)
        and type(each.get("offset_ns")) is int
        and abs(each["offset_ns"]) < MAX_COUNT
        for each in value
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_texts, value.values()))


_SIZE: dict[str, Check] = {
    "parameters": _count,
    "macs": _count,
    "density": _number,
    "uncounted": _texts,
}
_KEYS: dict[str, dict[str, Check]] = {
    "attempt": {"number": _count, "restored": _count},
    "fingerprint": {"code": _hashes, "data": _table},
    "metric": {
        **dict.fromkeys(("name", "unit", "difference_unit"), _text),
        **dict.fromkeys(("lowest", "highest", "factor", "margin"), _number),
        "higher_is_better": _flag,
        "decimals": _count,
    },
    "dense": _SIZE,
    "weights": {"file": _text, "drawn": _texts, "unused": _count},
    "threads": {"threads": _count},
    "border": {"window": _text},
    "phase": {"phase": _count, "window": _text, "kind": _text},
    "epoch": {
        "window": _text,
        "epoch": _count,
        "of": _count,
        "epochs_trained": _number,
        "val_score": _or_none(_number),
    },
    "size": _SIZE,
    "resolution": {"image_size": _or_none(_count), "macs": _count},
    "record": {"facts": _table},
    "answer": {"phase": _count, "description": _table},
    "checkpoint": {"number": _count, "phase": _count, "epoch": _count},
    "result": {
        **_SIZE,
        "test_score": _number,
        "test_samples": _count,
        "test_correct": _or_none(_text),
        "test_scores": _or_none(_text),
    },
    "clocks": {"nodes": _clocks},
    "end": {"status": _STATUSES.__contains__},
    "died": {"status": _STATUSES.__contains__},
}
"""By kind, a check of each key, applied where the key is given."""
_NEEDED: dict[str, tuple[str, ...]] = {
    "attempt": ("number", "restored"),
    "metric": ("name",),
    "border": ("window",),
    "epoch": ("epochs_trained",),
    "fingerprint": ("code", "data"),
    "record": ("facts",),
    "weights": ("file", "drawn", "unused"),
    "answer": ("phase", "description"),
    "checkpoint": ("number",),
    "clocks": ("nodes",),
    "end": ("status",),
    "died": ("status",),
}
"""By kind, the required keys; older versions may lack the others."""


def is_event(line: Any) -> bool:
    """Whether a line is a valid event; of unknown kinds any keys are."""
    if not isinstance(line, dict) or not _count(line.get("time_ns")):
        return False
    kind = line.get("event")
    if not isinstance(kind, str):
        return False
    try:
        sound = all(check(line[key]) for key, check in _KEYS.get(kind, {}).items() if key in line)
    except TypeError:  # a status that is a list
        return False
    return sound and all(key in line for key in _NEEDED.get(kind, ()))
