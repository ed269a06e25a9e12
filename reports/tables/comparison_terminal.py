"""A comparison for a terminal, readable from 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from reports.tables.table import Cell, Table

_SHORT = {
    "Accuracy, points": "accuracy\npoints",
    "Time, ×": "time\n×",
    "CO2e, ×": "CO2e\n×",
    "Parameters, ×": "params\n×",
    "MACs, ×": "MACs\n×",
    "Runs in A": "n\nA",
    "Runs in B": "n\nB",
}
_WITHOUT_INTERVAL = frozenset({"CO2e, ×"})
"""CO2e is energy times a factor: its interval is that of the energy, and room is scarce."""


def comparison_terminal(table: Table) -> RichTable:
    """The table that `comparison_table` made, each interval below its mean."""
    rich = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    rich.add_column("method", overflow="fold", min_width=10)
    for name in table.header[1:]:
        short = _SHORT.get(name) or name.lower().replace(" (", "\n(").replace(", ×", " ×")
        rich.add_column(short, justify="right", overflow="fold")
    for row in table.rows:
        named = zip(table.header, row, strict=True)
        rich.add_row(*(_shown(cell, name in _WITHOUT_INTERVAL) for name, cell in named))
    rich.caption = Text(table.legend)
    rich.caption_justify = "left"
    return rich


def _shown(cell: Cell, without_interval: bool) -> Text:
    count = cell.text.replace(" of ", "/")
    return Text(count if without_interval or not cell.note else f"{cell.text}\n{cell.note}")
