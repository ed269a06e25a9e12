"""Every run and every attempt, finished or not; and the protocol and environment they ran under."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.results.column import Column, Schema
from harness.study.study import rule_of
from reports.tables.table import ARM, Table, View, decimals, uncertainty
from reports.text.scores import Shown
from reports.text.units import MISSING, PERCENT, Unit, energy_unit, mass_unit, time_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.data import StudyResults
    from reports.tables.table import Record


RUNS = Schema(
    "every_run",
    "All runs",
    "a run",
    (
        ARM,
        Column("seed", "integer", "Its seed."),
        Column("status", "text", "`done`, `failed`, `interrupted`, `planned` or `damaged`."),
        Column("reason", "text", "Why it did not finish."),
        Column("attempts", "integer", "How many processes worked on it, one after the other."),
        Column("test_score", "number", "Of the final network, in the unit of its metric."),
        Column("val_score", "number", "The same on validation data."),
        Column("energy_j", "number", "Everything from start to end, all attempts.", "J"),
        Column("energy_source", "text", "`counter`, `sampled`, `estimated` or `simulated`."),
        Column("uncertainty_j", "number", "Of measuring it (95 %).", "J"),
        Column("lost_j", "number", "Of the energy: work that was not kept.", "J"),
        Column("overhead_j", "number", "Of the energy: what belongs to no phase.", "J"),
        Column("coverage", "number", "Share of the time that was observed."),
        Column("co2e_kg", "number", "CO2e of the energy.", "kg"),
        Column("duration_s", "number", "Time worked, over all attempts.", "s"),
        Column("epochs_trained", "integer", "Epochs of training."),
        Column("host", "text", "The machine."),
        Column("gpus", "text", "UUIDs of the GPUs that it trained on, joined with `+`."),
        Column("start_temperature_c", "number", "Of the warmest GPU before the run.", "°C"),
    ),
)
ATTEMPTS = Schema(
    "several_attempts",
    "Runs that took several attempts",
    "an attempt of such a run",
    (
        ARM,
        Column("seed", "integer", "The run's seed."),
        Column("attempt", "integer", "Its number, from 1."),
        Column("status", "text", "How it ended; `died`: its process ended without a record."),
        Column("restored", "integer", "The checkpoint that it began from; 0: none."),
        Column("started_at", "text", "When it began (UTC)."),
        Column("energy_j", "number", "Energy it used.", "J"),
        Column("uncertainty_j", "number", "Of measuring it (95 %).", "J"),
        Column("lost_j", "number", "Of the energy: work that was not kept.", "J"),
        Column("duration_s", "number", "How long it worked.", "s"),
        Column("host", "text", "The machine."),
    ),
)


def every_run(results: StudyResults) -> Table:
    """One row per run."""
    runs, shown = results.runs, Shown(results.metric)
    energy = energy_unit(_numbers(runs, "energy_j"))
    listed = runs.to_dict("records")
    view = {
        "arm": View("Method"),
        "seed": View("Seed", show=decimals(0)),
        "status": View("Status", note=_reason),
        "attempts": View("Attempts", show=decimals(0)),
        "test_score": View(shown.header("Test"), shown.unit, shown.figures),
        "val_score": View(shown.header("Validation"), shown.unit, shown.figures),
        "energy_j": View("Energy", energy),
        "energy_source": View("Source"),
        "uncertainty_j": uncertainty("Uncertainty", energy),
        "lost_j": View("Lost", energy),
        "overhead_j": View("Overhead", energy),
        "coverage": View("Observed", PERCENT, decimals(1)),
        "co2e_kg": View("CO2e", mass_unit(_numbers(runs, "co2e_kg"))),
        "duration_s": View("Time", time_unit(_numbers(runs, "duration_s"))),
        "epochs_trained": View("Epochs", show=decimals(0)),
        "host": View("Host"),
    }
    if any(isinstance(gpus := run.get("gpus"), str) and gpus for run in listed):
        view["gpus"] = View("GPU")
        view["start_temperature_c"] = View("Start", Unit("°C", 1.0), decimals(0))
    return Table(
        schema=RUNS,
        records=[_record(RUNS, run) for run in listed],
        view=view,
        legend="Runs that did not finish are listed with their reason and enter no mean.",
        arms=[str(run["arm"]) for run in listed],
        failed=frozenset(n for n, run in enumerate(listed) if run["status"] != "done"),
    )


def every_attempt(results: StudyResults) -> Table | None:
    """One row per attempt of the runs that took more than one; None if none did."""
    attempts = results.attempts
    counts = attempts.groupby(["arm", "seed"])["attempt"].transform("count")
    listed = attempts[counts > 1].to_dict("records")
    if not listed:
        return None
    energy = energy_unit(_numbers(attempts, "energy_j"))
    view = {
        "arm": View("Method"),
        "seed": View("Seed", show=decimals(0)),
        "attempt": View("Attempt", show=decimals(0)),
        "status": View("Ended as"),
        "restored": View("From checkpoint", show=decimals(0)),
        "started_at": View("Begun"),
        "energy_j": View("Energy", energy),
        "uncertainty_j": uncertainty("Uncertainty", energy),
        "lost_j": View("Of that lost", energy),
        "duration_s": View("Time", time_unit(_numbers(attempts, "duration_s"))),
        "host": View("Host"),
    }
    return Table(
        schema=ATTEMPTS,
        records=[_record(ATTEMPTS, each) for each in listed],
        view=view,
        legend="A run’s energy is the sum over its attempts. Lost is what an attempt did after the "
        "checkpoint that the next one began from.",
        arms=[str(each["arm"]) for each in listed],
        failed=frozenset(n for n, each in enumerate(listed) if each["status"] != "done"),
    )


def _record(schema: Schema, row: Mapping[Hashable, Any]) -> Record:
    """The columns of the schema; what older results lack is empty."""
    return {column.name: row.get(column.name) for column in schema.columns}


def _reason(row: Record) -> str:
    return "" if pd.isna(row["reason"]) else str(row["reason"])


def _numbers(table: pd.DataFrame, column: str) -> list[float]:
    return [float(value) for value in pd.to_numeric(table[column])]


_PROTOCOL = ("workload", "training", "energy", "carbon")


SCHEMA = Schema(
    "environment",
    "Protocol and environment",
    "a setting or a version",
    (
        Column("name", "text", "A setting's key, or what was found on the machine."),
        Column(
            "value", "text", "Its value; where runs differ, each value with its count of attempts."
        ),
    ),
)


def environment(results: StudyResults) -> Table:
    """One row a setting or a version; where runs differ, each value with its count of runs."""
    rows = [*_protocol(results.settings), *_machines(results.attempts)]
    return Table(
        schema=SCHEMA,
        records=[{"name": name, "value": value} for name, value in rows],
        view={"name": View("What"), "value": View("Value")},
        legend="The protocol is the study’s, the same for every method"
        f"{' but for what was tuned' if results.trials else ''}; the rest was found when "
        "the runs began. Hyper-parameters of methods are columns of runs.csv.",
    )


def _protocol(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "seeds" in settings:
        rule = rule_of(settings)
        listed = f"{rule.min} to {rule.max}, until decided" if rule else None
        yield "seeds", listed or ", ".join(map(str, settings["seeds"]))
    tuning = settings.get("tuning", {})
    for table in _PROTOCOL:
        for key, value in settings.get(table, {}).items():
            tuned = table == "training" and key in tuning.get("space", {})
            more = "; tuned for each method" if tuned else ""
            yield f"{table}.{key}", f"{_shown(value)}{more}"
    if tuning.get("space"):
        yield from ((f"tuning.{key}", _shown(value)) for key, value in tuning.items())
    for name, variant in settings.get("variants", {}).items():
        for table, values in variant.items():
            for key, value in values.items():
                yield f"variants.{name}.{table}.{key}", _shown(value)


def _machines(attempts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Hosts, devices and versions, by how many attempts saw them."""
    for column, name in (
        ("host", "host"),
        ("device", "computing device"),
        ("device_name", "its name"),
        ("threads", "CPU threads"),
    ):
        value = _counted(attempts[column])
        if value:
            yield name, value
    versions = [json.loads(text) for text in attempts["versions"].dropna()]
    for name in dict.fromkeys(name for each in versions for name in each):
        yield name, _counted(pd.Series([each.get(name) for each in versions]))


def _counted(column: pd.Series) -> str:
    texts = column.dropna().astype(str)
    counts = texts[texts != ""].value_counts(sort=False)
    if len(counts) < 2:
        return "".join(map(str, counts.index))
    listed = [f"{value} ({count})" for value, count in counts.items()]
    return f"{', '.join(listed)} of {len(texts)} attempts"


def _shown(value: Any) -> str:
    if value is None or value in ([], {}):
        return MISSING
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
