"""Prepares a run for experiment trackers: parameters, metrics, tags and curve, with safe names."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.results.energy_source import EnergyKinds
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.settings.run_spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

    from harness.results.table import Tables


Value = bool | int | float | str | None

_WHERE = frozenset({"root", "download"})
"""Keys of the workload that are private."""
_NOT_RESULTS = frozenset(
    {"schema_version", "study", "arm", "method", "variant", "precision", "seed"}
)
_NO_TIME = datetime.fromtimestamp(0, UTC)
"""In place of a moment that the journal lacks: obviously not real."""


@dataclass(frozen=True)
class MetricPoint:
    """One evaluation on validation data.

    Attributes:
        epochs_trained: How many epochs the network had trained.
        at: When.
        values: `val_score` and, if it is known, `cumulative_energy_j` from the run's start.
    """

    epochs_trained: int
    at: datetime
    values: dict[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """One run. Unknown values are left out.

    Attributes:
        identity: The same in every export of this run, and different for every other run, also
            one with the same settings elsewhere.
        place: Names of its two folders: safe as a path, and as a label.
        title: Its name for people.
        arm: Its arm; runs that differ in their seed only share it.
        status: "done", "failed" or "interrupted".
        standing: The word to put before "energy".
        caption: What the energy figures are, in a sentence.
        parameters: Settings and hyper-parameters.
        metrics: Results that are finite numbers; keys are plain.
        tags: Other results, as text; keys are plain.
        curve: Its evaluations, in order.
        started: When it began, first attempt.
        ended: When its last attempt ended.
    """

    identity: str
    place: tuple[str, str]
    title: str
    arm: str
    status: str
    standing: str
    caption: str
    parameters: dict[str, Value]
    metrics: dict[str, float]
    tags: dict[str, str]
    curve: tuple[MetricPoint, ...]
    started: datetime
    ended: datetime

    @property
    def digest(self) -> str:
        """A hash of everything here, so that an export can see whether a run has changed."""
        content = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def tracked_runs(tables: Tables) -> Iterator[TrackedRun]:
    """Every run that has begun, in the order of the table."""
    curves, phases, attempts = (
        dict(iter(frame.groupby(["arm", "seed"])))
        for frame in (tables.curves, tables.phases, tables.attempts)
    )
    for row in tables.runs.to_dict("records"):
        which = (row["arm"], row["seed"])
        if which in attempts:
            yield _tracked(
                {str(key): value for key, value in row.items()},
                tables.folder(*which),
                attempts[which],
                curves.get(which),
                phases.get(which),
            )


def identity(spec: RunSpec, attempts: pd.DataFrame) -> str:
    """An id for one run, from its settings, and when and where it first began.

    Args:
        spec: Its specification.
        attempts: The run's rows in the table of attempts.
    """
    first = attempts.iloc[0]
    begun = f"{spec.study} {spec.key} {spec.arm} {first['host']} {first['started_at']}"
    return hashlib.sha256(begun.encode()).hexdigest()[:16]


def _tracked(
    row: dict[str, Any],
    folder: RunFolder,
    attempts: pd.DataFrame,
    curve: pd.DataFrame | None,
    phases: pd.DataFrame | None,
) -> TrackedRun:
    spec = folder.read_spec()
    last = attempts.iloc[-1]
    results = _results(row, spec)
    if phases is not None:
        drawn = zip(phases["phase"], phases["energy_j"], strict=True)
        results |= {f"phase_energy_j.{label}": float(energy_j) for label, energy_j in drawn}
    word = EnergyKinds.of_source(row["energy_source"]).adjective
    metrics = {key: float(value) for key, value in results.items() if _is_number(value)}
    texts = {key: str(value) for key, value in results.items() if not _is_number(value)}
    labels = {"study": spec.study, "arm": row["arm"], "spec_key": spec.key, "energy_standing": word}
    return TrackedRun(
        identity=identity(spec, attempts),
        place=(folder.path.parent.name, folder.path.name),
        title=f"{row['arm']}, seed {spec.seed}",
        arm=row["arm"],
        status=row["status"],
        standing=word,
        caption=_caption(row, word),
        parameters=_plain(_parameters(spec)),
        metrics={key: value for key, value in _plain(metrics).items() if math.isfinite(value)},
        tags=_plain(texts | labels),
        curve=tuple(_points(Journal(folder), curve)),
        started=_moment(attempts.iloc[0]["started_at"]),
        ended=_moment(last["started_at"]) + timedelta(seconds=float(last["duration_s"])),
    )


def _parameters(spec: RunSpec) -> dict[str, Value]:
    own: dict[str, Value] = {
        "method": spec.method,
        "variant": spec.variant,
        "seed": spec.seed,
    }
    hyper = {f"method_{key}" if key in own else key: v for key, v in spec.hyperparameters.items()}
    recipe = {f"training.{key}": v for key, v in spec.training.model_dump(mode="json").items()}
    work = spec.workload.model_dump(mode="json", exclude=set(_WHERE))
    every = hyper | recipe | {f"workload.{key}": value for key, value in work.items()}
    return own | {key: _flat(value) for key, value in every.items()}


def _results(row: Mapping[str, Any], spec: RunSpec) -> dict[str, Any]:
    """The results in a run's row, without its settings and missing values."""
    # A hyper-parameter with the name of another column has the prefix there.
    asked = {
        prefixed if (prefixed := f"method_{key}") in row else key for key in spec.hyperparameters
    }
    left_out = _NOT_RESULTS | asked
    return {
        key: value for key, value in row.items() if key not in left_out and not _is_missing(value)
    }


def _points(journal: Journal, curve: pd.DataFrame | None) -> Iterator[MetricPoint]:
    """The curve with its moments. Events that the journal has got since are ignored."""
    energies = repeat(math.nan) if curve is None else iter(curve["energy_j"])
    for (attempt, event), energy_j in zip(journal.evaluations(), energies, strict=False):
        after = timedelta(microseconds=(event["time_ns"] - attempt.start_ns) / 1000)
        values = {"val_score": event["val_score"], "cumulative_energy_j": energy_j}
        yield MetricPoint(
            epochs_trained=int(event["epochs_trained"]),
            at=_moment(attempt.events[0].get("wall")) + after,
            values={key: float(v) for key, v in values.items() if math.isfinite(v)},
        )


def _caption(row: Mapping[str, Any], word: str) -> str:
    note = row["energy_note"]
    if word == "unknown":
        return f"Energy unknown. {note}"
    source = "" if row["energy_source"] == word else f" ({row['energy_source']})"
    return (
        f"{word.capitalize()} energy{source} of {row['energy_scope']}: {row['energy_device']}; "
        f"uncertainty_j at 95 %. {note}"
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    keys = plain_keys(values)
    return {keys[key]: value for key, value in values.items()}


def _flat(value: Any) -> Value:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value == "" or value != value


def _moment(wall: object) -> datetime:
    try:
        return datetime.fromisoformat(str(wall)).astimezone(UTC)
    except ValueError:
        return _NO_TIME


def place(folder: Path, out: str | None, name: str) -> Path:
    """The folder an exporter writes to, created if necessary.

    Args:
        folder: The study's results.
        out: The folder that the user chose; None for one beside the results.
        name: The exporter's name.
    """
    path = Path(out) if out is not None else folder / "export" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and a hash of all of it if it is longer than `most`."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plain_keys(keys: Iterable[str]) -> dict[str, str]:
    """From every key to a unique one of letters, digits, `_`, `.` and `-`.

    Methods and plugins name facts and windows as they like; trackers make folders of slashes, and
    refuse other characters.
    """
    found: dict[str, str] = {}
    for key in keys:
        plain = shortened(re.sub(r"[^A-Za-z0-9_.-]", "_", key).lstrip(".-") or "_", 200)
        if plain in found.values():
            plain += f"-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        found[key] = plain
    return found
