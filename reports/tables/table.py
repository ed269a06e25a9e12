"""A table of the report: what stands in each cell, and what it is sorted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and its value for sorting and for the CSV."""

    text: str
    note: str = ""
    value: float | str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: What its files are called.
        title: What it is called on the page.
        header: The columns' names, with units.
        rows: As many cells each.
        legend: How to read it, in plain text.
        arms: The arm that each row belongs to, as long as `rows`; empty where rows are no arms.
        failed: Numbers of rows that tell of something that went wrong.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    legend: str = ""
    arms: Sequence[str] = ()
    failed: frozenset[int] = frozenset()

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers; those stand right, words left."""
        columns = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.header)
        return [
            bool(cells)
            and all(cell.value == "" or isinstance(cell.value, int | float) for cell in cells)
            for cells in map(list, columns)
        ]
