"""Every run, whatever became of it, and every attempt at it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.units import energy_unit, mass_unit, time_unit

if TYPE_CHECKING:
    from reports.data import StudyResults


def every_run(results: StudyResults) -> Table:
    """One row a run."""
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
    listed = runs.to_dict("records")
    on_gpus = any(_gpus(run) for run in listed)
    if on_gpus:
        header += ["GPU", "Start, °C"]
    rows = [
        [
            cells.text(run["arm"]),
            cells.number(run["seed"], 1, 0),
            cells.text(run["status"], note="" if pd.isna(run["reason"]) else str(run["reason"])),
            cells.number(run["attempts"], 1, 0),
            cells.number(run["test_accuracy"], 100, 2),
            cells.number(run["val_accuracy"], 100, 2),
            cells.quantity(run["energy_j"], energy),
            cells.text(run["energy_source"]),
            cells.quantity(run["uncertainty_j"], energy),
            cells.quantity(run["lost_j"], energy),
            cells.quantity(run["overhead_j"], energy),
            cells.number(run["coverage"], 100, 1),
            cells.quantity(run["co2e_kg"], mass),
            cells.quantity(run["duration_s"], time),
            cells.number(run["epochs_trained"], 1, 0),
            cells.text(run["host"]),
            *_card(run, known=on_gpus),
        ]
        for run in listed
    ]
    return Table(
        name="every_run",
        title="All runs",
        header=header,
        rows=rows,
        legend="Runs that did not finish are listed with their reason and enter no mean.",
        arms=[str(run["arm"]) for run in listed],
        failed=frozenset(n for n, run in enumerate(listed) if run["status"] != "done"),
    )


def _gpus(run: dict[Hashable, Any]) -> str:
    gpus = run.get("gpus")
    return gpus if isinstance(gpus, str) else ""


def _card(run: dict[Hashable, Any], *, known: bool) -> list[Cell]:
    """On which GPUs a run trained, and how warm the warmest was when it began."""
    if not known:
        return []
    return [cells.text(_gpus(run)), cells.number(run.get("start_temperature_c"), 1, 0)]


def every_attempt(results: StudyResults) -> Table | None:
    """One row an attempt of the runs that took more than one; None if none did."""
    attempts = results.attempts
    counts = attempts.groupby(["arm", "seed"])["attempt"].transform("count")
    listed = attempts[counts > 1].to_dict("records")
    if not listed:
        return None
    energy = energy_unit(_numbers(attempts, "energy_j"))
    time = time_unit(_numbers(attempts, "duration_s"))
    header = [
        "Method",
        "Seed",
        "Attempt",
        "Ended as",
        "From checkpoint",
        "Begun",
        f"Energy, {energy.symbol}",
        f"±\u00a0{energy.symbol}",
        f"Of that lost, {energy.symbol}",
        f"Time, {time.symbol}",
        "Host",
    ]
    rows = [
        [
            cells.text(each["arm"]),
            cells.number(each["seed"], 1, 0),
            cells.number(each["attempt"], 1, 0),
            cells.text(each["status"]),
            cells.number(each["restored"], 1, 0),
            cells.text(each["started_at"]),
            cells.quantity(each["energy_j"], energy),
            cells.quantity(each["uncertainty_j"], energy),
            cells.quantity(each["lost_j"], energy),
            cells.quantity(each["duration_s"], time),
            cells.text(each["host"]),
        ]
        for each in listed
    ]
    return Table(
        name="several_attempts",
        title="Runs that took several attempts",
        header=header,
        rows=rows,
        legend="A run’s energy is the sum over its attempts. Lost is what an attempt did after the "
        "checkpoint that the next one began from.",
        arms=[str(each["arm"]) for each in listed],
        failed=frozenset(n for n, each in enumerate(listed) if each["status"] != "done"),
    )


def _numbers(table: pd.DataFrame, column: str) -> list[float]:
    return [float(value) for value in pd.to_numeric(table[column])]
