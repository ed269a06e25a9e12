"""The headline table for a terminal, readable from 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from reports.wording.units import MISSING, energy_unit, fixed, mass_unit, percent, time_unit

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval
    from reports.analysis.summary import ArmSummary, Summary


def terminal_table(summary: Summary) -> Table:
    """One row an arm: accuracy, energy, ratio to the baseline, CO2e, time and size left."""
    energy = energy_unit(arm.energy_j.mean for arm in summary.arms)
    mass = mass_unit(arm.co2e_kg for arm in summary.arms)
    time = time_unit(arm.duration_s for arm in summary.arms)
    standing = summary.standing
    kind = "" if standing.measured else f"\n({standing.adjective})"
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("method", overflow="fold", min_width=10)
    for header in (
        "accuracy\n%",
        f"energy {energy.symbol}{kind}",
        f"×\n{summary.baseline if len(summary.baseline) <= 8 else 'baseline'}",
        f"CO2e\n{mass.symbol}",
        f"time\n{time.symbol}",
        "params\nleft %",
        "MACs\nleft %",
        "n",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for arm in summary.arms:
        table.add_row(
            Text(arm.arm),
            _accuracy(arm.accuracy),
            energy.show(arm.energy_j.mean),
            _ratio(arm, summary),
            mass.show(arm.co2e_kg),
            time.show(arm.duration_s),
            percent(arm.parameters_left),
            percent(arm.macs_left),
            f"{arm.n}/{arm.n + arm.failures}" if arm.failures else str(arm.n),
        )
    table.caption = _caption(summary)
    table.caption_justify = "left"
    return table


def _accuracy(accuracy: Interval) -> str:
    mean = fixed(accuracy.mean * 100, 2)
    return f"{mean} ± {fixed(accuracy.half_width * 100, 2)}" if accuracy.bounded else mean


def _ratio(arm: ArmSummary, summary: Summary) -> str:
    if summary.has_baseline and arm.arm == summary.baseline:
        return "1"
    return fixed(arm.ratio.mean, 2) if arm.ratio else MISSING


def _caption(summary: Summary) -> str:
    parts = []
    if any(arm.accuracy.bounded for arm in summary.arms):
        parts.append("± is half a 95 % Student-t interval over seeds.")
    if any(arm.n == 1 for arm in summary.arms):
        parts.append("One seed: no interval.")
    if any(arm.failures for arm in summary.arms):
        parts.append("n: runs finished/started; those not finished are in no mean.")
    if not summary.has_baseline:
        parts.append(f"No finished run of {summary.baseline}: no ratios.")
    if summary.standing.kinds and not summary.standing.measured:
        parts.append(f"Energy is {summary.standing.adjective}, not measured by a sensor.")
    if any(arm.density < 1 for arm in summary.arms):
        parts.append("Masked weights are still computed and count as left.")
    return " ".join(parts)
