"""The headline table for the terminal: as many columns as fit, the verdicts always."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.settings.metric import ACCURACY
from reports.text.scores import Shown
from reports.text.sentence import confidence
from reports.text.tuning import tuning_note
from reports.text.units import (
    MISSING,
    energy_unit,
    mass_unit,
    percent,
    relative,
    time_unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from reports.statistics.statistics import Interval
    from reports.statistics.summary import ArmSummary, Summary

NAME_WIDTH = 12
"""Letters of a method's name that stay on one line however narrow the terminal is."""

_WHOLE = 2
"""Columns that give way before any other is shortened."""


@dataclass(frozen=True)
class _Column:
    """A column: what it shows of an arm, and how early it gives way (0: never).

    `short` is what it shows where there is less room.
    """

    header: str
    show: Callable[[ArmSummary], str | Text]
    dropped: int = 0
    words: bool = False
    short: Callable[[ArmSummary], str | Text] | None = None


def terminal_table(summary: Summary) -> TerminalTable:
    """One row per arm; what it shows depends on the width of the terminal."""
    return TerminalTable(summary)


class TerminalTable:
    """Prints itself with as many columns as fit, and the notes that these need below.

    Verdict, difference and ratio with their intervals, and the number of runs, are always there;
    CO2e gives way first, then MACs, the interval of the score, parameters, time, energy and
    score.
    """

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._columns = _columns(summary)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest table that fits, then the notes, wrapped between words."""
        for table in self._candidates():
            if Measurement.get(console, options.update(width=1000), table).maximum <= (
                options.max_width
            ):
                break
        yield table
        yield Text(f"\n{_notes(self._summary)}", style="dim") if _notes(self._summary) else ""

    def _candidates(self) -> Sequence[Table]:
        """Tables from the widest to the narrowest."""
        order = sorted({column.dropped for column in self._columns} - {0})
        found = []
        for dropped in range(len(order) + 1):
            kept = [c for c in self._columns if c.dropped not in order[:dropped]]
            found.append(self._table(kept, folded=False))
            if dropped < _WHOLE:
                continue
            kept = [replace(c, show=c.short) if c.short else c for c in kept]
            found.append(self._table(kept, folded=False))
            # Names are folded before the figures of score and energy give way.
            if dropped >= len(order) - 2:
                found.append(self._table(kept, folded=True))
        return found

    def _table(self, columns: Sequence[_Column], *, folded: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        table.add_column("method", no_wrap=True)
        for column in columns:
            table.add_column(
                column.header, justify="left" if column.words else "right", no_wrap=True
            )
        for arm in self._summary.arms:
            cells = [column.show(arm) for column in columns]
            table.add_row(_name(arm.arm, folded=folded), *cells)
        return table


def _columns(summary: Summary) -> list[_Column]:
    energy = energy_unit(arm.energy_j.mean for arm in summary.arms)
    with_tuning = energy_unit(arm.energy_with_tuning_j for arm in summary.arms)
    mass = mass_unit(arm.co2e_kg for arm in summary.arms)
    time = time_unit(arm.duration_s for arm in summary.arms)
    standing, base = summary.standing, summary.baseline
    kind = "" if standing.measured else f"\n{standing.adjective}"
    short = base if len(base) <= 8 else "baseline"

    shown = Shown(summary.metric)

    def score(value: float) -> str:
        return shown.figures(value * summary.metric.factor)

    def ratio(arm: ArmSummary) -> str | Text:
        if summary.has_baseline and arm.arm == base:
            return "1"
        return MISSING if arm.ratio is None else _interval(arm.ratio, relative)

    def difference(arm: ArmSummary) -> str | Text:
        if arm.decision is None:
            return MISSING
        return _interval(arm.decision.interval, shown.change)

    def verdict(arm: ArmSummary) -> str | Text:
        if summary.has_baseline and arm.arm == base:
            return "reference"
        return arm.verdict or MISSING

    tuned = [
        _Column(
            f"with\ntuning {with_tuning.symbol}",
            lambda arm: with_tuning.show(arm.energy_with_tuning_j),
            5,
        )
    ] * bool(summary.trials)
    return [
        _Column(
            f"test\n{_short_header(shown)}",
            lambda arm: _interval(arm.score, score),
            dropped=6,
            short=lambda arm: score(arm.score.mean),
        ),
        _Column(f"{shown.metric.difference_unit or shown.name}\nvs {short}", difference),
        _Column(f"verdict\nmargin {summary.shown_margin:g}", verdict, words=True),
        _Column(f"energy\nvs {short}", ratio),
        _Column(f"energy {energy.symbol}{kind}", lambda a: energy.show(a.energy_j.mean), 5),
        *tuned,
        _Column(f"time\n{time.symbol}", lambda arm: time.show(arm.duration_s), 4),
        _Column("params\nleft %", lambda arm: percent(arm.parameters_left), 3),
        _Column("MACs\nleft %", lambda arm: percent(arm.macs_left), 2),
        _Column(f"CO2e\n{mass.symbol}", lambda arm: mass.show(arm.co2e_kg), 1),
        _Column("n", _count),
    ]


def _short_header(shown: Shown) -> str:
    """The score and its unit where room is scarce: "acc. %", "bits per byte"."""
    name = "acc." if shown.name == ACCURACY.name else shown.name
    return f"{name} {shown.unit.symbol}".strip()


def _name(name: str, *, folded: bool) -> Text:
    """A method's name; a long one on a line per word, and folded after underscores, too."""
    lines = [name] if len(name) <= 24 else name.split(" ")
    if folded:
        pieces = [re.findall(r"[^_= ]+[_= ]?|[_= ]", line) for line in lines]
        lines = [line for each in pieces for line in _filled(each)]
    return Text("\n".join(line.rstrip() for line in lines))


def _filled(pieces: Sequence[str]) -> list[str]:
    """Lines of at most NAME_WIDTH letters, broken between pieces, else anywhere."""
    lines = [""]
    for piece in pieces:
        if len(lines[-1] + piece.rstrip()) > NAME_WIDTH and lines[-1]:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > NAME_WIDTH:
            lines[-1:] = [lines[-1][:NAME_WIDTH], lines[-1][NAME_WIDTH:]]
    return lines


def _interval(found: Interval, show: Callable[[float], str]) -> str | Text:
    """A mean, and its interval beneath, if it has one."""
    mean = show(found.mean)
    if not found.bounded:
        return mean
    return Text.assemble(mean, "\n", (f"{show(found.low)} … {show(found.high)}", "dim"))


def _count(arm: ArmSummary) -> str:
    return f"{arm.n}/{arm.n + arm.failures}" if arm.failures else str(arm.n)


def _of_verdicts(summary: Summary) -> str:
    """The confidence of the intervals that verdicts rest on, if it is not 95 %."""
    found = [arm.decision.interval for arm in summary.challengers if arm.decision is not None]
    levels = sorted({confidence(each) for each in found if each.bounded} - {"95 %"})
    unit = summary.metric.difference_unit or "differences"
    return f"; for {unit}, that of the verdict ({', '.join(levels)})" if levels else ""


def _notes(summary: Summary) -> str:
    parts = []
    if any(arm.score.bounded for arm in summary.arms):
        parts.append(f"Below a mean: its 95 % confidence interval{_of_verdicts(summary)}.")
    if not summary.metric.higher_is_better:
        parts.append(f"Of {summary.metric.name}, lower is better.")
    if summary.trials:
        parts.append(tuning_note(summary.trials))
    if any(arm.n == 1 for arm in summary.arms):
        parts.append("One seed: no interval.")
    if any(arm.failures for arm in summary.arms):
        parts.append("n: runs finished/started; unfinished ones are in no mean.")
    if not summary.has_baseline:
        parts.append(f"No finished run of {summary.baseline}: nothing to compare with.")
    if summary.standing.kinds and not summary.standing.measured:
        parts.append(f"Energy is {summary.standing.adjective}, not measured by a sensor.")
    if any(arm.density < 1 for arm in summary.arms):
        parts.append("Masked weights are still computed, so they count as left.")
    return " ".join(parts)
