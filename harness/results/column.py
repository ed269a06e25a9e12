"""Describes the columns of a table, for everything that writes it.

Files for programs hold a column's values unscaled, in its base unit, under its name. What people
read (page, Markdown, LaTeX, terminal) is made from the same values, scaled to the unit in the
header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "boolean"]

_ENDINGS = {"J": "_j", "kg": "_kg", "s": "_s", "W": "_w", "°C": "_c"}
"""How the name of a column ends that holds a quantity of this unit."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in files; that of a quantity ends in its unit.
        kind: Type of its values.
        sentence: What it means, in a sentence.
        unit: The base unit of its values: "J", "kg", "s", "W" or "°C"; empty for text, counts,
            shares of 1 and ratios.
        interval: Whether it is a mean with a 95 % interval, whose ends stand in `NAME_low` and
            `NAME_high`, in the same unit.

    Raises:
        ValueError: The name does not end in its unit.
    """

    name: str
    kind: Kind
    sentence: str
    unit: str = ""
    interval: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that ends in another unit."""
        named = next((unit for unit, end in _ENDINGS.items() if self.name.endswith(end)), "")
        if named != self.unit:
            raise ValueError(f"column {self.name}: its unit is '{self.unit}'")

    @property
    def names(self) -> tuple[str, ...]:
        """The column, and those of the ends of its interval."""
        bounds = (f"{self.name}_low", f"{self.name}_high") if self.interval else ()
        return (self.name, *bounds)


@dataclass(frozen=True)
class Schema:
    """One table: its name in files, its title, what a row is, and its columns."""

    name: str
    title: str
    row: str
    columns: Sequence[Column]
