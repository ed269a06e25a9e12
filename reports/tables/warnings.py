"""The warnings as a table, for the files; the page shows them above everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.warnings import warnings

if TYPE_CHECKING:
    from reports.data import StudyResults


def warning_table(results: StudyResults) -> Table:
    """One row a warning; none is good."""
    return Table(
        name="warnings",
        title="Warnings",
        header=["About", "What to know", "Runs"],
        rows=[
            [cells.text(each.kind), cells.text(each.text), Cell(str(each.runs), value=each.runs)]
            for each in warnings(results)
        ],
    )
