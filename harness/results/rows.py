"""Derives the rows of one run in the tidy tables from its journal and traces alone."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.energy.busy import Busy
from harness.energy.carbon.factor import Co2e
from harness.energy.health import Health
from harness.energy.sensors.base import Sensor
from harness.results.carbon import StudyCarbon, Waiting
from harness.results.final_test import FinalTest, final_test
from harness.results.folder import RunFolder
from harness.results.inference import inference_columns
from harness.results.journal import LOST, OVERHEAD, TEST, Attempt, Journal
from harness.results.masks import ticket_rows
from harness.results.run_energy import Entry, Ledger
from harness.results.schema import RUNS, unknown
from harness.settings.metric import Metric
from harness.settings.run_spec import SCHEMA, RunSpec

Row = dict[str, Any]

MIN_GPU_BUSY = 0.8
"""A GPU that is busy for less of its training waits for the host, whose speed is then measured."""
BUSY_FOR_S = 5.0
"""Shorter trainings than this are over within a few sample periods of NVML's utilisation."""


@dataclass(frozen=True)
class RunRows:
    """The rows of one run in each table.

    Attributes:
        run: Its row in the table of runs.
        curves: One row per evaluation on validation data whose work was kept.
        phases: One row per window label; the energies add up to the run's total.
        attempts: One row per attempt.
        tickets: One row per channel mask that the method looked at.
        tested: The result of a finished run on the test set.
        metric: What its scores are; None if nothing is recorded.
    """

    run: Row
    curves: list[Row]
    phases: list[Row]
    attempts: list[Row]
    tickets: list[Row]
    tested: FinalTest | None = None
    metric: Metric | None = None


def read_run(folder: RunFolder, spec: RunSpec, label: str, carbon: StudyCarbon) -> RunRows:
    """Read one run and derive its rows; if its records cannot be read, one row with that status.

    Args:
        folder: Its folder.
        spec: Its specification.
        label: The arm's label among the study's arms.
        carbon: Computes its CO2e.
    """
    try:
        ledger = Ledger(folder)
    except Exception as error:  # noqa: BLE001 - records from anywhere: one run must not hide the others
        return _damaged(spec, label, error)
    cost = _Cost(carbon.here(ledger), carbon.elsewhere(ledger), carbon.waiting(ledger))
    try:
        return _read(ledger, spec, label, cost)
    except Exception as error:  # noqa: BLE001 - as above
        return _damaged(spec, label, error)


class _Cost(NamedTuple):
    """CO2e of a run where it ran, the columns of further sites, and what waiting saved."""

    here: Co2e
    elsewhere: Row
    waiting: Waiting | None


def _read(ledger: Ledger, spec: RunSpec, label: str, cost: _Cost) -> RunRows:
    identity = {"arm": label, "method": spec.method, "seed": spec.seed}
    known = bool(ledger.sensors)
    curves = _curve_rows(ledger) if known else []
    return RunRows(
        run=_run_row(spec, label, ledger, cost),
        curves=[identity | row for row in curves],
        phases=[identity | row for row in _phase_rows(ledger)] if known else [],
        attempts=[identity | row for row in _attempt_rows(ledger)],
        tickets=[identity | row for row in ticket_rows(ledger, spec)],
        tested=final_test(ledger.journal),
        metric=ledger.journal.metric if ledger.journal.attempts else None,
    )


def _run_row(spec: RunSpec, label: str, ledger: Ledger, cost: _Cost) -> Row:
    journal = ledger.journal
    done = journal.status == "done"
    outer, missed = ledger.outer, ledger.missed
    training = ledger.gpu_busy(_trainings(journal))
    result = _last(journal.events("result")) if done else {}
    start = _last(journal.events("attempt"))
    dense = _last(journal.events("dense"))
    drawn: dict[str, float] = defaultdict(float)
    for entry in ledger.entries:
        drawn[entry.label] += entry.joules.energy_j
    # Without a sensor the energy is unknown, which is not 0.
    known = bool(ledger.sensors)
    facts = {
        key: value for _, e in journal.kept_events("record") for key, value in e["facts"].items()
    }
    searched = _search(ledger)
    row = {
        **_who(spec, label),
        "status": journal.status,
        "reason": journal.reason,
        "test_score": result.get("test_score"),
        "val_score": result.get("val_score"),
        "metric": journal.metric.name if journal.attempts else None,
        "energy_j": outer.energy_j if known else math.nan,
        "uncertainty_j": outer.uncertainty_j if known else math.nan,
        "uncertainty_without_gain_j": outer.without_gain_j if known else math.nan,
        "gain_j": outer.gain_j if known else math.nan,
        "border_j": outer.border_j if known else math.nan,
        "gap_j": outer.gap_j if known else math.nan,
        "aliasing_j": outer.aliasing_j if known else math.nan,
        **dict.fromkeys(("tuning_j", "tuning_uncertainty_j"), math.nan),  # of all runs of the arm
        **_standing(ledger.sensors, ledger.notes),
        **_health(ledger.health, _shared(journal) | _waits(training)),
        "gpu_busy": training.share,
        "coverage": outer.coverage,
        "spare_gpus_j": ledger.beside("spare"),
        "shared_host_j": ledger.beside("host"),
        "machine_j": ledger.beside("machine"),
        "parts_j": ledger.beside("part"),
        "missed_share": missed.share if missed else None,
        "missed_share_uncertainty": missed.uncertainty if missed else None,
        "lost_j": drawn[LOST] if known else math.nan,
        "overhead_j": drawn[OVERHEAD] if known else math.nan,
        "search_j": searched.energy_j if known else math.nan,
        "search_epochs": searched.epochs,
        "test_j": drawn[TEST] if known and done else math.nan,
        **inference_columns(ledger.folder.path),
        "co2e_kg": cost.here.kg,
        "carbon_basis": cost.here.basis,
        **cost.elsewhere,
        "co2e_at_once_kg": cost.waiting.at_once_kg if cost.waiting else None,
        "waited_s": cost.waiting.waited_s if cost.waiting else None,
        "duration_s": ledger.duration_s,
        "attempts": len(journal.attempts),
        "parameters": result.get("parameters"),
        "macs": result.get("macs"),
        "density": result.get("density"),
        "dense_parameters": dense.get("parameters"),
        "dense_macs": dense.get("macs"),
        "macs_uncounted": ", ".join(sorted({*_uncounted(dense), *_uncounted(result)})),
        "epochs_trained": result.get("epochs_trained"),
        "samples_trained": result.get("samples_trained"),
        "test_samples": result.get("test_samples"),
        "device": start.get("device"),
        "gpus": "+".join(start.get("gpus", [])),
        "processes": start.get("processes", 1),
        "host": start.get("host"),
        "started_at": start.get("wall"),
    }
    extra = facts | {key: _flat(value) for key, value in spec.hyperparameters.items()}
    return row | {f"method_{key}" if key in row else key: value for key, value in extra.items()}


def _uncounted(size: Mapping[str, Any]) -> Iterable[str]:
    """Operators that a count of MACs left out; none in records of older versions."""
    found: Iterable[str] = size.get("uncounted", ())
    return found


def _standing(sensors: list[Sensor], notes: Iterable[str]) -> Row:
    def joined(values: Iterable[str]) -> str:
        return "+".join(sorted(set(values)))

    return {
        "energy_source": joined(sensor.source for sensor in sensors) or "none",
        "energy_scope": joined(sensor.kind for sensor in sensors) or "none",
        "energy_device": ", ".join(sorted({sensor.name for sensor in sensors})),
        "calibration": joined(s.power_curve.text for s in sensors if s.power_curve),
        "energy_note": "; ".join([*sorted({s.note for s in sensors if s.note}), *notes]),
    }


def _who(spec: RunSpec, label: str) -> Row:
    """The columns that identify a run."""
    return {
        "schema_version": SCHEMA,
        "study": spec.study,
        "arm": label,
        "method": spec.method,
        "variant": spec.variant,
        "precision": spec.training.precision,
        "seed": spec.seed,
    }


def _damaged(spec: RunSpec, label: str, error: Exception) -> RunRows:
    row = {
        **unknown(RUNS),
        **_who(spec, label),
        "status": "damaged",
        "reason": f"its records cannot be read: {type(error).__name__}: {error}",
        "energy_source": "none",
        "energy_scope": "none",
        "coverage": 0.0,
        **dict.fromkeys(
            ("energy_device", "calibration", "energy_note", "energy_flags", "carbon_basis"), ""
        ),
    }
    return RunRows(row, [], [], [], [])


def _trainings(journal: Journal) -> set[str]:
    """The labels of the windows in which the run trains."""
    return {each["window"] for each in journal.events("phase") if each.get("kind") == "Train"}


def _waits(training: Busy) -> set[str]:
    """A flag if the GPU waited for much of the training."""
    if training.watched_s < BUSY_FOR_S or training.share >= MIN_GPU_BUSY:
        return set()
    return {f"the GPU was busy for {training.share:.0%} of the training and else waited for work"}


def _shared(journal: Journal) -> set[str]:
    """The runs that it shared its GPUs with, as recorded when it began."""
    starts = journal.events("attempt")
    return {text for each in starts for text in each.get("gpu_shared_with", [])}


def _health(attempts: list[Health], shared: set[str]) -> Row:
    """The columns on the quality of the measurement; the worst of all attempts counts."""

    def worst(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), key=abs, default=None)

    idle = [each.idle_energy_j for each in attempts]
    return {
        "idle_energy_j": None if None in idle or not idle else sum(filter(None, idle)),
        "power_disagreement": worst(each.disagreement for each in attempts),
        "start_temperature_c": attempts[-1].start_temperature_c if attempts else None,
        "throttled_share": worst(each.throttled_share for each in attempts),
        "background_cpu": worst(each.background_cpu for each in attempts),
        "threads_in_use": worst(each.threads_in_use for each in attempts),
        "energy_flags": "; ".join(
            sorted({flag for each in attempts for flag in each.flags} | shared)
        ),
    }


def _curve_rows(ledger: Ledger) -> list[Row]:
    return [
        {
            "order": order,
            "phase": event["window"],
            "epochs_trained": event["epochs_trained"],
            "energy_j": ledger.spent_until(attempt, event["time_ns"]),
            "val_score": event["val_score"],
        }
        for order, (attempt, event) in enumerate(ledger.journal.evaluations())
    ]


@dataclass(frozen=True)
class _Search:
    """The cost until the network had its final shape; 0 if it never changed."""

    energy_j: float
    epochs: int


def _search(ledger: Ledger) -> _Search:
    epochs, found = 0, None
    for attempt, event in ledger.journal.kept_events("epoch", "size"):
        if event["event"] == "epoch":
            epochs = int(event["epochs_trained"])
        else:
            found = (attempt.number, event["time_ns"]), epochs
    if found is None:
        return _Search(0.0, 0)
    shaped, epochs = found
    energy_j = math.fsum(
        entry.joules.energy_j
        for entry in ledger.entries
        if entry.label != LOST and (entry.window.attempt, entry.window.start_ns) < shaped
    )
    return _Search(energy_j, epochs)


def _attempt_rows(ledger: Ledger) -> list[Row]:
    rows = []
    for attempt in ledger.journal.attempts:
        start, last = attempt.events[0], attempt.events[-1]
        entries = [entry for entry in ledger.entries if entry.window.attempt == attempt.number]
        joules = ledger.of_attempt(attempt)
        known = bool(ledger.sensors)
        lost_j = math.fsum(entry.joules.energy_j for entry in entries if entry.label == LOST)
        rows.append(
            {
                "attempt": attempt.number,
                "status": last["status"] if attempt.has_ended else "died",
                "restored": attempt.restored,
                "started_at": start.get("wall"),
                "duration_s": (ledger.end_ns(attempt) - attempt.start_ns) * 1e-9,
                "energy_j": joules.energy_j if known else math.nan,
                "uncertainty_j": joules.uncertainty_j if known else math.nan,
                "lost_j": lost_j if known else math.nan,
                "host": start.get("host"),
                "device": start.get("device"),
                "device_name": start.get("device_name"),
                "threads": _last([start, *_of_kind(attempt, "threads")]).get("threads"),
                "processes": start.get("processes", 1),
                "versions": json.dumps(start.get("versions", {}), sort_keys=True),
            }
        )
    return rows


def _of_kind(attempt: Attempt, kind: str) -> list[Row]:
    return [event for event in attempt.events if event["event"] == kind]


def _phase_rows(ledger: Ledger) -> list[Row]:
    labels: dict[str, list[Entry]] = {}
    for entry in ledger.entries:
        labels.setdefault(entry.label, []).append(entry)
    return [
        {
            "phase": label,
            "energy_j": math.fsum(entry.joules.energy_j for entry in entries),
            "duration_s": math.fsum(entry.duration_s for entry in entries),
            "gpu_busy": ledger.gpu_busy({label}).share,
            "threads_in_use": _threads_in_use(entries),
        }
        for label, entries in labels.items()
    ]


def _threads_in_use(entries: list[Entry]) -> float | None:
    """CPU time over wall time of several windows; None if it was recorded for none."""
    known = [
        (each.threads_in_use, each.duration_s)
        for each in entries
        if each.threads_in_use is not None
    ]
    seconds = math.fsum(duration_s for _, duration_s in known)
    return math.fsum(used * length_s for used, length_s in known) / seconds if seconds else None


def _last(events: list[Row]) -> Mapping[str, Any]:
    return events[-1] if events else {}


def _flat(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
