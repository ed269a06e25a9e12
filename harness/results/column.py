"""What a column of a table holds: one description for everything that writes the table.

Files for programs hold a column's values as they are, in its base unit, under its name. Whatever
people read (page, Markdown, LaTeX, terminal) is made from the same values, scaled to a unit that
its header names.
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
    """A column.

    Attributes:
        name: Under which programs find it; the name of a quantity ends in its unit.
        kind: What its values are.
        sentence: What it says.
        unit: The base unit of its values: "J", "kg", "s", "W" or "°C"; empty for text, counts,
            shares of 1 and ratios.
        interval: Whether it is a mean with a 95 % interval, whose ends stand in `NAME_low` and
            `NAME_high`, in the same unit.

    Raises:
        ValueError: The name does not end as its unit asks for.
    """

    name: str
    kind: Kind
    sentence: str
    unit: str = ""
    interval: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that says another unit."""
        said = next((unit for unit, end in _ENDINGS.items() if self.name.endswith(end)), "")
        if said != self.unit:
            raise ValueError(f"column {self.name}: its unit is '{self.unit}'")

    @property
    def names(self) -> tuple[str, ...]:
        """The column, and those of the ends of its interval."""
        bounds = (f"{self.name}_low", f"{self.name}_high") if self.interval else ()
        return (self.name, *bounds)


@dataclass(frozen=True)
class Schema:
    """A table's name, what it is called for people, what a row is, and its columns."""

    name: str
    title: str
    row: str
    columns: Sequence[Column]
