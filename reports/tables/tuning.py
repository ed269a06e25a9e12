"""The table of trials: what each recipe reached on validation data, and for how many joules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from harness.results.column import Column, Schema
from reports.statistics.energy_kind import standing_of
from reports.tables.table import ARM, ENERGY_KIND, Table, View
from reports.text.scores import Shown
from reports.text.tuning import tuning_note
from reports.text.units import energy_unit

if TYPE_CHECKING:
    from reports.data import StudyResults
    from reports.tables.table import Record

SCHEMA = Schema(
    "tuning",
    "Tuning",
    "a trial, with a further column for each key of the recipe that was tuned",
    (
        ARM,
        Column("trial", "integer", "Its number; trial 0 has the study's own recipe."),
        Column("epochs", "integer", "Length of its training."),
        Column("val_score", "number", "Score on validation data, by which recipes are chosen."),
        Column("energy_j", "number", "Energy of the trial.", "J"),
        ENERGY_KIND,
        Column("status", "text", "`done`, `failed` or `interrupted`; a failed trial loses."),
        Column(
            "role",
            "text",
            "`chosen`, `trial`, or `for another method`, which builds on it: then it does not "
            "compete.",
        ),
    ),
)


def tuning(results: StudyResults) -> Table | None:
    """One row per trial, by method, length and number; None without tuning."""
    if results.tuning.empty:
        return None
    keys = results.tuned_keys
    numeric = {key: pd.api.types.is_numeric_dtype(results.tuning[key]) for key in keys}
    tuned = [Column(key, "number" if numeric[key] else "text", "Tuned.") for key in keys]
    shown, standing = Shown(results.metric), standing_of(results.tuning)
    kind = "" if standing.measured else f" ({standing.adjective})"
    records = [
        {
            **{column.name: row.get(column.name) for column in SCHEMA.columns},
            "energy_kind": standing.adjective,
            **{key: row[key] if numeric[key] else str(row[key]) for key in keys},
        }
        for row in results.tuning.to_dict("records")
    ]
    return Table(
        schema=replace(SCHEMA, columns=(*SCHEMA.columns, *tuned)),
        records=records,
        view={
            "arm": View("Method"),
            "trial": View("Trial"),
            "epochs": View("Epochs"),
            **{key: View(key, show=lambda value: f"{value:g}") for key in keys},
            "val_score": View(shown.header("Validation"), shown.unit, shown.figures),
            "energy_j": View(f"Energy{kind}", energy_unit(results.tuning["energy_j"])),
            "role": View("Role", text=_role),
        },
        legend=f"{tuning_note(results.trials)} Trial 0 has the study's own recipe.",
        arms=[str(arm) for arm in results.tuning["arm"]],
        failed=frozenset(n for n, row in enumerate(records) if row["status"] != "done"),
    )


def _role(record: Record) -> str:
    role, status = str(record["role"]), str(record["status"])
    return role if status == "done" else f"{role}, {status}"
