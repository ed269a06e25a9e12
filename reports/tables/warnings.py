"""The warnings as a table, for the files; the page shows them above everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.tables.table import Table, View
from reports.text.warnings import warnings

if TYPE_CHECKING:
    from reports.data import StudyResults

SCHEMA = Schema(
    "warnings",
    "Warnings",
    "a warning",
    (
        Column("kind", "text", "What it is about, in a word or two."),
        Column("text", "text", "What to know, in a sentence."),
        Column("runs", "integer", "How many runs it concerns."),
    ),
)


def warning_table(results: StudyResults) -> Table:
    """One row per warning; none is good."""
    return Table(
        schema=SCHEMA,
        records=[
            {"kind": each.kind, "text": each.text, "runs": each.runs} for each in warnings(results)
        ],
        view={"kind": View("About"), "text": View("What to know"), "runs": View("Runs")},
    )
