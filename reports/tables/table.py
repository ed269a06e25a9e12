"""A table of the report: typed values, and how people see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.results.column import Column
from reports.statistics.statistics import Interval
from reports.text.units import MISSING, PLAIN, Unit, by_factor, fixed, significant

if TYPE_CHECKING:
    from harness.results.column import Schema

ARM = Column("arm", "text", "The method, with the settings that set it apart in the study.")
ENERGY_KIND = Column("energy_kind", "text", "`measured`, `estimated`, `simulated` or partly so.")
Record = Mapping[str, Any]
"""A row: a value per column of the schema, in its base unit. An `Interval` where the column has
one; None or NaN where nothing is known."""


@dataclass(frozen=True)
class Cell:
    """What people see: a text, a smaller second line, and the value that the page sorts by."""

    text: str
    note: str = ""
    value: float | str = ""


def decimals(count: int) -> Callable[[float], str]:
    """Show numbers with this many decimals."""
    return partial(fixed, decimals=count)


@dataclass(frozen=True)
class View:
    """How people see a column: header, unit and digits come from here, values from the record.

    Attributes:
        title: The header without the unit.
        unit: What values are shown in. A value is in the column's base unit, and is divided by the
            size of this one.
        show: A number in that unit as text.
        text: Words in place of the number, from the whole row; None for the number.
        note: A second line in place of the interval, from the whole row; None for the interval.
    """

    title: str
    unit: Unit = PLAIN
    show: Callable[[float], str] = significant
    text: Callable[[Record], str | None] | None = None
    note: Callable[[Record], str] | None = None

    @property
    def header(self) -> str:
        """The title with the unit."""
        return f"{self.title}, {self.unit.symbol}" if self.unit.symbol else self.title

    def number(self, value: float) -> str:
        """A value, given in the base unit, as a bare number in the shown one."""
        return self.show(value / self.unit.size)

    def ends(self, value: Interval) -> str:
        """The ends of an interval in the shown unit; nothing where there is none."""
        if not value.bounded:
            return ""
        return " … ".join((self.number(value.low), self.number(value.high)))

    def cell(self, column: Column, record: Record) -> Cell:
        """The record's value of a column."""
        value: Any = record[column.name]
        words = self.text(record) if self.text else None
        note = self.note(record) if self.note else None
        if isinstance(value, Interval):
            if note is None:
                note = self.ends(value)
            value = value.mean
        if column.kind == "text":
            known: str = "" if pd.isna(value) else str(value)
            return Cell(known if words is None else words, note or "", known)
        number: float = math.nan if pd.isna(value) else float(value)
        shown = self.number(number) if words is None else words
        return Cell(shown or MISSING, note or "", "" if math.isnan(number) else value)


def uncertainty(title: str, unit: Unit) -> View:
    """How people see how far off a row's energy may be: as ± in this unit, or as a factor."""
    return View(title, unit.plus_minus, text=_factor)


def _factor(record: Record) -> str | None:
    energy_j, uncertainty_j = record["energy_j"], record["uncertainty_j"]
    if isinstance(energy_j, Interval):
        energy_j = energy_j.mean
    if pd.isna(energy_j) or pd.isna(uncertainty_j):
        return None
    return by_factor(energy_j, uncertainty_j) or None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        schema: Its columns, as files for programs have them.
        records: Its rows, each with a value per column of the schema.
        view: How people see it, by the column's name and in the order of sight; columns that are
            not in it are for programs only.
        legend: How to read it, in plain text.
        title: What it is called on the page; that of the schema unless given.
        arms: The arm that each row belongs to, as long as `records`; empty where rows are no arms.
        failed: Numbers of rows that report something that went wrong.

    Raises:
        ValueError: A record has other columns than the schema, or the view has one more.
    """

    schema: Schema
    records: Sequence[Record]
    view: Mapping[str, View]
    legend: str = ""
    title: str = ""
    arms: Sequence[str] = ()
    failed: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a record or a view that is not of the schema."""
        object.__setattr__(self, "title", self.title or self.schema.title)
        names = {*self._columns}
        for found in (*({*record} for record in self.records), names | {*self.view}):
            if found != names:
                odd = ", ".join(sorted(found ^ names))
                raise ValueError(f"table {self.name}: {odd}: not as its schema")

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {column.name: column for column in self.schema.columns}

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.schema.name

    @property
    def header(self) -> list[str]:
        """What people see above the columns, with units."""
        return [view.header for view in self.view.values()]

    @cached_property
    def rows(self) -> list[list[Cell]]:
        """What people see, as many cells a row as the header has names."""
        return [
            [view.cell(self._columns[name], record) for name, view in self.view.items()]
            for record in self.records
        ]

    @property
    def numeric(self) -> list[bool]:
        """Of each column that people see, whether it holds numbers; those are aligned right."""
        return [self._columns[name].kind in ("integer", "number") for name in self.view]

    def frame(self) -> pd.DataFrame:
        """The table for programs: plain columns in base units, missing values empty."""
        return pd.DataFrame(
            {
                name: pd.Series(
                    [_part(record[column.name], end) for record in self.records],
                    dtype=_DTYPES[column.kind],
                )
                for column in self.schema.columns
                for name, end in zip(column.names, ("mean", "low", "high"), strict=False)
            }
        )


_DTYPES = {"text": "object", "integer": "Int64", "number": "float64", "boolean": "boolean"}


def _part(value: Any, end: str) -> Any:
    """A value, or of an interval its mean or one of its ends."""
    if isinstance(value, Interval):
        return getattr(value, end)
    return value if end == "mean" else math.nan
