"""The headline: one row an arm, the frugal ones that keep the accuracy first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.units import (
    MISSING,
    counted,
    energy_unit,
    mass_unit,
    percent,
    time_unit,
)
from reports.wording.verdict import basis, legend

if TYPE_CHECKING:
    from reports.analysis.summary import ArmSummary, Summary


def headline(summary: Summary) -> Table:
    """One row an arm, in the summary's order."""
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
            cells.text(arm.arm),
            cells.interval(arm.accuracy, 100, 2),
            cells.interval(arm.difference, 100, 2, sign=True),
            cells.text(_verdict(arm, summary), basis(arm.decision) if arm.decision else ""),
            cells.measured(arm.energy_j, energy),
            cells.quantity(arm.uncertainty_j, energy),
            _ratio(arm, summary),
            cells.quantity(arm.co2e_kg, mass),
            cells.quantity(arm.duration_s, time),
            Cell(percent(arm.parameters_left), counted(arm.parameters), arm.parameters_left),
            Cell(percent(arm.macs_left), counted(arm.macs), arm.macs_left),
            Cell(percent(arm.density), value=arm.density),
            Cell(arm.count, value=arm.n),
        ]
        for arm in summary.arms
    ]
    return Table(
        name="headline",
        title="Methods",
        header=header,
        rows=rows,
        legend=_legend(summary),
        arms=[arm.arm for arm in summary.arms],
        failed=frozenset(n for n, arm in enumerate(summary.arms) if not arm.n),
    )


def _legend(summary: Summary) -> str:
    parts = [
        (
            "Means over finished runs; beneath, 95 % Student-t intervals over seeds, of accuracies "
            "on the logit scale, of energies and ratios on the log scale. Differences and ratios "
            "are paired by seed."
        ),
        legend(summary),
        (
            "Sorted by verdict, then by energy. A method’s energy is that of its whole recipe, its "
            "uncertainty that of measuring one run."
        ),
    ]
    text = " ".join(filter(None, parts))
    if any(arm.density < 1 for arm in summary.arms):
        text += (
            " Masked weights are zero but still computed: they save no energy and count as left."
        )
    if any(arm.n == 1 for arm in summary.arms):
        text += " With one seed there is no interval."
    return text


def _ratio(arm: ArmSummary, summary: Summary) -> Cell:
    if summary.has_baseline and arm.arm == summary.baseline:
        return Cell("1", value=1.0)
    return cells.interval(arm.ratio, 1, 2)


def _verdict(arm: ArmSummary, summary: Summary) -> str:
    if summary.has_baseline and arm.arm == summary.baseline:
        return "reference"
    return arm.verdict or MISSING
