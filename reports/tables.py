"""The page's two tables: what stands in each cell, and what it is sorted by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.units import (
    MISSING,
    Unit,
    energy_unit,
    fixed,
    mass_unit,
    percent,
    signed,
    significant,
    time_unit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.data import StudyResults
    from reports.statistics import Interval
    from reports.summary import ArmSummary, Summary


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and its value for sorting."""

    text: str
    note: str = ""
    value: float | str = ""


@dataclass(frozen=True)
class Table:
    """A table's header, with units, and its rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


_VERDICTS = {"kept": "yes", "worse": "no, worse", "inconclusive": "not shown"}


def headline(summary: Summary) -> Table:
    """One row an arm."""
    energy = energy_unit(arm.energy_j.mean for arm in summary.arms)
    mass = mass_unit(arm.co2e_kg for arm in summary.arms)
    time = time_unit(arm.duration_s for arm in summary.arms)
    base = summary.baseline
    kind = "" if summary.standing.measured else f" ({summary.standing.adjective})"
    header = [
        "Method",
        "Test accuracy, %",
        f"Against {base}, points",
        f"Within {summary.margin * 100:g} points",
        f"Energy{kind}, {energy.symbol}",
        f"Uncertainty, ±\u00a0{energy.symbol}",
        f"Energy, ×\u00a0{base}",
        f"CO2e, {mass.symbol}",
        f"Time, {time.symbol}",
        "Parameters left, %",
        "MACs left, %",
        "Weights not zero, %",
        "n",
    ]
    rows = [
        [
            Cell(arm.arm, value=arm.arm),
            _interval(arm.accuracy.scaled(100), 2),
            _compared(arm.difference, 100, 2, sign=True),
            Cell(_verdict(arm), value=_verdict(arm)),
            _energy(arm.energy_j, energy),
            Cell(energy.show(arm.uncertainty_j), value=arm.uncertainty_j),
            _ratio(arm, summary),
            Cell(mass.show(arm.co2e_kg), value=arm.co2e_kg),
            Cell(time.show(arm.duration_s), value=arm.duration_s),
            Cell(percent(arm.parameters_left), value=arm.parameters_left),
            Cell(percent(arm.macs_left), value=arm.macs_left),
            Cell(percent(arm.density), value=arm.density),
            Cell(arm.count, value=arm.n),
        ]
        for arm in summary.arms
    ]
    return Table(header, rows)


def every_run(results: StudyResults) -> Table:
    """One row a run, whatever became of it."""
    runs = results.runs
    energy = energy_unit(_numbers(runs, "energy_j"))
    mass = mass_unit(_numbers(runs, "co2e_kg"))
    time = time_unit(_numbers(runs, "duration_s"))
    header = [
        "Method",
        "Seed",
        "Status",
        "Attempts",
        "Test accuracy, %",
        "Validation accuracy, %",
        f"Energy, {energy.symbol}",
        "Source",
        f"±\u00a0{energy.symbol}",
        f"Lost, {energy.symbol}",
        f"Overhead, {energy.symbol}",
        "Observed, %",
        f"CO2e, {mass.symbol}",
        f"Time, {time.symbol}",
        "Epochs",
        "Host",
    ]
    rows = []
    for run in runs.to_dict("records"):
        status = _text(run["status"])
        rows.append(
            [
                Cell(_text(run["arm"]), value=_text(run["arm"])),
                _number(run["seed"], 1, 0),
                Cell(status, note=_text(run["reason"]), value=status),
                _number(run["attempts"], 1, 0),
                _number(run["test_accuracy"], 100, 2),
                _number(run["val_accuracy"], 100, 2),
                _quantity(run["energy_j"], energy),
                Cell(_text(run["energy_source"]), value=_text(run["energy_source"])),
                _quantity(run["uncertainty_j"], energy),
                _quantity(run["lost_j"], energy),
                _quantity(run["overhead_j"], energy),
                _number(run["coverage"], 100, 1),
                _quantity(run["co2e_kg"], mass),
                _quantity(run["duration_s"], time),
                _number(run["epochs_trained"], 1, 0),
                Cell(_text(run["host"]), value=_text(run["host"])),
            ]
        )
    return Table(header, rows)


def _interval(interval: Interval, decimals: int) -> Cell:
    note = ""
    if interval.bounded:
        note = f"{fixed(interval.low, decimals)} … {fixed(interval.high, decimals)}"
    return Cell(fixed(interval.mean, decimals), note, interval.mean)


def _energy(interval: Interval, unit: Unit) -> Cell:
    note = f"{unit.show(interval.low)} … {unit.show(interval.high)}" if interval.bounded else ""
    return Cell(unit.show(interval.mean), note, interval.mean)


def _compared(interval: Interval | None, factor: float, decimals: int, *, sign: bool) -> Cell:
    if interval is None:
        return Cell(MISSING)
    scaled, show = interval.scaled(factor), signed if sign else fixed
    note = ""
    if scaled.bounded:
        note = f"{show(scaled.low, decimals)} … {show(scaled.high, decimals)}"
    return Cell(show(scaled.mean, decimals), note, scaled.mean)


def _ratio(arm: ArmSummary, summary: Summary) -> Cell:
    if summary.has_baseline and arm.arm == summary.baseline:
        return Cell("1", value=1.0)
    return _compared(arm.ratio, 1, 2, sign=False)


def _verdict(arm: ArmSummary) -> str:
    return _VERDICTS[arm.verdict] if arm.verdict else MISSING


def _numbers(runs: pd.DataFrame, column: str) -> list[float]:
    return [float(value) for value in pd.to_numeric(runs[column])]


def _number(value: Any, factor: float, decimals: int) -> Cell:
    number = math.nan if pd.isna(value) else float(value) * factor
    return Cell(fixed(number, decimals), value=number)


def _quantity(value: Any, unit: Unit) -> Cell:
    number = math.nan if pd.isna(value) else float(value)
    return Cell(significant(number / unit.size), value=number)


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
