"""Tidy tables of a study: runs, evaluations, and energy by window. Derived from raw records."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.atomic import write_atomically
from harness.energy.health import Health
from harness.energy.meter import Sensor
from harness.errors import UsageError
from harness.results.carbon import StudyCarbon
from harness.results.folder import StudyFolder
from harness.results.journal import LOST, OVERHEAD
from harness.results.ledger import Ledger
from harness.spec import SCHEMA, RunSpec, short_labels_of

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

IDENTITY = ("arm", "method", "seed")
CURVE = ("order", "phase", "epochs_trained", "energy_j", "val_accuracy")
PHASE = ("phase", "energy_j", "duration_s")


def load(results: str | Path) -> pd.DataFrame:
    """The tidy table of a results folder, one row a run, derived anew from journals and traces.

    Args:
        results: The folder of one study, such as "results/quick".

    Returns:
        The columns that results/README.md describes; then facts and hyper-parameters.

    Raises:
        UsageError: There are no results, or they are of a newer version.
    """
    return Tables(Path(results)).runs


class Tables:
    """The three tidy tables of a study.

    Attributes:
        study: The study's name.
        baseline: The arm that others are compared with: dense, in the study's first variant.
        runs: One row a run.
        curves: One row an evaluation on validation data whose work was kept.
        phases: One row a run and window label; the energies of a run add up to its total.
    """

    def __init__(self, path: Path) -> None:
        folder = StudyFolder(path)
        study = folder.read_study()
        self.study: str = study["name"]
        import pandas as pd  # after the check: it takes a second, an error message need not

        carbon = StudyCarbon(folder)
        found = [(run, run.read_spec()) for run in folder.runs()]
        if not found:
            raise UsageError(f"{path}: no runs here yet")
        labels = short_labels_of(spec for _, spec in found)
        first = next(iter(study.get("variants", {})), None)
        self.baseline = next(
            (
                label
                for (_, spec), label in zip(found, labels, strict=True)
                if (spec.method, spec.variant) == ("dense", first)
            ),
            "dense",
        )
        rows: dict[str, list[Row]] = defaultdict(list)
        for (run, spec), label in zip(found, labels, strict=True):
            ledger = Ledger(run)
            identity = {"arm": label, "method": spec.method, "seed": spec.seed}
            rows["runs"].append(_run_row(spec, label, ledger, carbon))
            if ledger.sensors:
                rows["curves"] += [identity | row for row in _curve_rows(ledger)]
                rows["phases"] += [identity | row for row in _phase_rows(ledger)]
        self.runs = pd.DataFrame(rows["runs"])
        for name, column in self.runs.items():
            # A yes or no that only some runs have stays one, with gaps, also in a file.
            if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
                self.runs[name] = column.astype("boolean")
        self.curves = pd.DataFrame(rows["curves"], columns=[*IDENTITY, *CURVE])
        self.phases = pd.DataFrame(rows["phases"], columns=[*IDENTITY, *PHASE])

    def save_runs(self, path: Path) -> None:
        """Write the table of runs as CSV and Parquet."""
        folder = StudyFolder(path)
        write_atomically(folder.table_csv, self.runs.to_csv(index=False).encode())
        buffer = io.BytesIO()
        self.runs.to_parquet(buffer, index=False)
        write_atomically(folder.table_parquet, buffer.getvalue())


def _run_row(spec: RunSpec, label: str, ledger: Ledger, carbon: StudyCarbon) -> Row:
    journal = ledger.journal
    done = journal.status == "done"
    outer = ledger.outer
    co2e = carbon.here(ledger)
    result = _last(journal.events("result")) if done else {}
    start = _last(journal.events("attempt"))
    dense = _last(journal.events("dense"))
    drawn: dict[str, float] = defaultdict(float)
    for entry in ledger.entries:
        drawn[entry.label] += entry.joules.energy_j
    # Without any sensor the energy is unknown, which is not nothing.
    known = bool(ledger.sensors)
    facts = {key: value for e in journal.events("record") for key, value in e["facts"].items()}
    row = {
        "schema_version": SCHEMA,
        "study": spec.study,
        "arm": label,
        "method": spec.method,
        "variant": spec.variant,
        "precision": spec.training.precision,
        "seed": spec.seed,
        "status": journal.status,
        "reason": journal.reason,
        "test_accuracy": result.get("test_accuracy"),
        "val_accuracy": result.get("val_accuracy"),
        "energy_j": outer.energy_j if known else math.nan,
        "uncertainty_j": outer.uncertainty_j if known else math.nan,
        "gain_j": outer.gain_j if known else math.nan,
        "border_j": outer.border_j if known else math.nan,
        "gap_j": outer.gap_j if known else math.nan,
        "aliasing_j": outer.aliasing_j if known else math.nan,
        **_standing(ledger.sensors, ledger.notes),
        **_health(ledger.health),
        "coverage": outer.coverage,
        "lost_j": drawn[LOST] if known else math.nan,
        "overhead_j": drawn[OVERHEAD] if known else math.nan,
        "co2e_kg": co2e.kg,
        "carbon_basis": co2e.basis,
        **carbon.elsewhere(ledger),
        "duration_s": ledger.duration_s,
        "attempts": len(journal.attempts),
        "parameters": result.get("parameters"),
        "macs": result.get("macs"),
        "density": result.get("density"),
        "dense_parameters": dense.get("parameters"),
        "dense_macs": dense.get("macs"),
        "epochs_trained": result.get("epochs_trained"),
        "device": start.get("device"),
        "host": start.get("host"),
        "started_at": start.get("wall"),
    }
    extra = facts | {key: _flat(value) for key, value in spec.hyperparameters.items()}
    return row | {f"method_{key}" if key in row else key: value for key, value in extra.items()}


def _standing(sensors: list[Sensor], notes: Iterable[str]) -> Row:
    def joined(values: Iterable[str]) -> str:
        return "+".join(sorted(set(values)))

    return {
        "energy_source": joined(sensor.source for sensor in sensors) or "none",
        "energy_scope": joined(sensor.kind for sensor in sensors) or "none",
        "energy_device": ", ".join(sorted({sensor.name for sensor in sensors})),
        "energy_note": "; ".join([*sorted({s.note for s in sensors if s.note}), *notes]),
    }


def _health(attempts: list[Health]) -> Row:
    """How the measurement of a run went; of several attempts the worst counts."""

    def worst(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), key=abs, default=None)

    idle = [each.idle_energy_j for each in attempts]
    return {
        "idle_energy_j": None if None in idle or not idle else sum(filter(None, idle)),
        "power_disagreement": worst(each.disagreement for each in attempts),
        "start_temperature_c": attempts[-1].start_temperature_c if attempts else None,
        "throttled_share": worst(each.throttled_share for each in attempts),
        "energy_flags": "; ".join(sorted({flag for each in attempts for flag in each.flags})),
    }


def _curve_rows(ledger: Ledger) -> list[Row]:
    rows: list[Row] = []
    for attempt in ledger.journal.attempts:
        checkpoint = attempt.restored
        for event in attempt.events:
            if event["event"] == "checkpoint":
                checkpoint = event["number"]
            elif event["event"] == "epoch" and ledger.journal.kept(attempt, checkpoint):
                rows.append(
                    {
                        "order": len(rows),
                        "phase": event["window"],
                        "epochs_trained": event["epochs_trained"],
                        "energy_j": ledger.spent_until(attempt, event["time_ns"]),
                        "val_accuracy": event["val_accuracy"],
                    }
                )
    return rows


def _phase_rows(ledger: Ledger) -> list[Row]:
    sums: dict[str, list[float]] = {}
    for entry in ledger.entries:
        drawn = sums.setdefault(entry.label, [0.0, 0.0])
        drawn[0] += entry.joules.energy_j
        drawn[1] += entry.duration_s
    return [
        {"phase": label, "energy_j": energy_j, "duration_s": duration_s}
        for label, (energy_j, duration_s) in sums.items()
    ]


def _last(events: list[Row]) -> Mapping[str, Any]:
    return events[-1] if events else {}


def _flat(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
