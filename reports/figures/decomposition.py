"""The decomposition of a saving: a waterfall from one arm's energy to another's, by factor.

The axis is logarithmic. Factors multiply, so that on it equal ratios have equal lengths wherever
they stand, and the lengths add up to the total. In linear joules a factor would look larger the
earlier it comes: halving 100 J is fifty times as long as halving 2 J. Since a log axis has no
zero, bars span steps and none begins at the axis; joules are written beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from harness.settings.metric import ACCURACY, Metric
from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import set_log_ticks
from reports.plotting.svg_ids import Marks
from reports.statistics.decomposition import Decomposition, StageResult, decompose
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.text import captions
from reports.text.phrases import NOT_RUN, named, order, times, times_interval
from reports.text.scores import Shown
from reports.text.units import Unit, energy, energy_unit

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle
    from matplotlib.text import Annotation

    from reports.data import StudyResults
    from reports.statistics.statistics import Interval

Colour = str | tuple[float, float, float]

NAME = "decomposition"

_LETTERS = 24
"""In a line of a factor's name; small print takes two more."""
_LINE_IN, _LEAST_IN, _GAP_IN = 0.125, 0.44, 0.2
"""Height of a line of small print, of a row at least, and what a row has beside its lines."""
_STEP, _ENERGY, _SCORE = 12, 108, 176
"""Where columns beside the axes begin (steps) or end, in points from the axes' edge."""
_BAR_IN, _LINE_PT = 0.24, 9.5
_MIN_SHOWN = 0.01
"""What is less than this in the column's unit is given in one of its own."""


def draw(results: StudyResults) -> Figured | None:
    """One bar per step, one more for all of them; None without a decomposition."""
    found = decompose(results)
    if found is None:
        return None
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, found, marks)
    standing = standing_of(results.finished)
    hatched = "" if standing.measured else f"Hatched because the energy is {standing.adjective}. "
    caption = (
        "From the first method's energy to the last one's, one factor at a time; the axis is "
        "logarithmic, so that equal ratios are equally long and the steps add up to the total. "
        "A bar ends at the geometric mean of the energy of the whole recipe, over the seeds that "
        "all stages have; the line there is the interval of the step, a ratio paired by seed. "
        f"{_plural(results.metric)} are on the test set. "
        f"{order(found)} {hatched}"
    )
    brief = (
        "From the first method's energy to the last one's, one factor at a time (log axis). Bars "
        "end at geometric means; lines are 95 % intervals of the steps. "
        f"{captions.short_basis(results)}"
    )
    return Figured(
        *(figure, _frame(found), " ".join(caption.split()), _alt(found, standing), marks),
        brief=brief,
        basis=captions.basis(results, _seeds(found)),
    )


def _plural(metric: Metric) -> str:
    return "Accuracies" if metric.name == ACCURACY.name else f"Scores ({metric.name})"


def _seeds(found: Decomposition) -> str:
    if not found.total.bounded:
        return "n = 1 seed per stage, so no interval."
    return f"n = {found.total.n} seeds per stage; intervals are 95 % Student-t over seeds."


def _alt(found: Decomposition, standing: EnergyKinds) -> str:
    first, *_, last = found.measured
    steps = [
        f"{named(level)}: {times(level.reached.step)}."
        for level in found.levels
        if level.reached and level.reached.step
    ]
    return (
        f"Waterfall of {standing.adjective} energy from {first.arm} at "
        f"{energy(first.energy_j.mean)} to {last.arm} at {energy(last.energy_j.mean)}, "
        f"{times(found.total)} in all. {' '.join(steps)}"
    )


def _frame(found: Decomposition) -> pd.DataFrame:
    """One row per stage, in order; ratios are to the stage measured before, and to the first."""
    rows = []
    for level in found.levels:
        reached = level.reached
        row: dict[str, object] = {"factor": named(level), "arm": reached.arm if reached else None}
        for name in ("energy_j", "step", "so_far", "score"):
            interval: Interval | None = getattr(reached, name, None)
            for end in ("mean", "low", "high"):
                column = name if end == "mean" else f"{name}_{end}"
                row[column] = getattr(interval, end, float("nan"))
        rows.append(row | {"n": found.total.n if reached else 0})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Canvas:
    """The axes, and all that every row is drawn with."""

    axes: Axes
    unit: Unit
    standing: EnergyKinds
    shown: Shown
    marks: Marks

    def beside(self, row_in: float, points: float, text: str, align: str) -> Annotation:
        """A text in a column right of the axes, at the height of a row."""
        return self.axes.annotate(
            text,
            (1, row_in),
            (points, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=7.5,
            linespacing=1.2,
            annotation_clip=False,
        )

    def bar(self, row_in: float, start_j: float, end_j: float, colour: Colour) -> Rectangle:
        """A bar from one energy to another; it vanishes where they are equal."""
        bars = self.axes.barh(
            row_in,
            (end_j - start_j) / self.unit.size,
            left=start_j / self.unit.size,
            height=_BAR_IN,
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            hatch=None if self.standing.measured else style.HATCH,
        )
        drawn: Rectangle = bars.patches[0]
        return drawn


def _draw(results: StudyResults, found: Decomposition, marks: Marks) -> Figure:
    standing = standing_of(results.finished)
    looks = style.arm_styles(results.arms, results.baseline_arm)
    unit = energy_unit(reached.energy_j.mean for reached in found.measured)
    names = [_name(named(level), level.reached) for level in found.levels]
    names.append(("all steps", ""))
    heights = [max(_LEAST_IN, _LINE_IN * _lines(name) + _GAP_IN) for name in names]
    rows_in = [end - height / 2 for end, height in zip(accumulate(heights), heights, strict=True)]
    figure = Figure(figsize=(style.width_in(), sum(heights) + 1.05), layout="constrained")
    axes = figure.subplots()
    style.set_title(axes, "From one energy to the other, factor by factor", pad=20)
    axes.set_xlabel(f"{standing.axis} ({unit.symbol}, log scale)")
    axes.set_xscale("log")
    axes.set_ylim(sum(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    style.watermark(figure, standing)
    canvas = _Canvas(axes, unit, standing, Shown(results.metric), marks)
    _limits(canvas, found)
    _head(canvas)
    before: tuple[float, StageResult] | None = None
    for row_in, level, name in zip(rows_in, found.levels, names, strict=False):
        reached = level.reached
        _write_name(canvas, row_in, name, reached.arm if reached else "")
        if reached is None:
            canvas.beside(row_in, _STEP, NOT_RUN, "left").set_color(style.MUTED)
            continue
        _draw_stage(canvas, row_in, reached, looks[reached.arm], before)
        before = row_in, reached
    axes.axhline(sum(heights[:-1]), color=style.MUTED, lw=0.6)
    _write_name(canvas, rows_in[-1], names[-1], "")
    first, *_, last = found.measured
    grey = style.lightened(style.MUTED, 0.4)
    canvas.bar(rows_in[-1], first.energy_j.mean, last.energy_j.mean, grey)
    canvas.beside(rows_in[-1], _STEP, _ratio_text(found.total), "left").set_fontweight("bold")
    return figure


def _name(factor: str, reached: StageResult | None) -> tuple[str, str]:
    arm = labels.wrapped(reached.arm, _LETTERS + 2) if reached else ""
    return labels.wrapped(factor, _LETTERS), arm


def _lines(name: tuple[str, str]) -> int:
    return sum(text.count("\n") + 1 for text in name if text)


def _ratio_text(ratio: Interval) -> str:
    within = times_interval(ratio)
    return f"{times(ratio)}\n{within}" if within else times(ratio)


def _limits(canvas: _Canvas, found: Decomposition) -> None:
    """Room for every mark and interval, with ticks that a reader can use."""
    ends = [reached.energy_j.mean for reached in found.measured]
    for before, reached in zip(found.measured, found.measured[1:], strict=False):
        if reached.step is not None and reached.step.bounded:
            ends += [before.energy_j.mean * e for e in (reached.step.low, reached.step.high)]
    low, high = min(ends) / canvas.unit.size, max(ends) / canvas.unit.size
    room = max((high / low) ** 0.06, 1.02)
    canvas.axes.set_xlim(low / room, high * room)
    set_log_ticks(canvas.axes.xaxis, low, high)


def _has_room() -> bool:
    """Whether there is room for scores beside the energies; else only the table has them."""
    return style.width_in() > style.NARROW_IN


def _head(canvas: _Canvas) -> None:
    """What the columns beside the axes hold."""
    for points, text, align in (
        (_STEP, "step", "left"),
        (_ENERGY, canvas.unit.symbol, "right"),
        *(((_SCORE, _score_head(canvas.shown), "right"),) if _has_room() else ()),
    ):
        head = canvas.beside(0, points, text, align)
        head.set(color=style.MUTED, va="bottom")


def _score_head(shown: Shown) -> str:
    """The column's header: "accuracy, %"."""
    symbol = shown.unit.symbol
    return f"{shown.name}, {symbol}" if symbol else shown.name


def _write_name(canvas: _Canvas, row_in: float, name: tuple[str, str], arm: str) -> None:
    """The factor, and below it the arm that has it, left of the axes."""
    factor, label = name
    top = _lines(name) * _LINE_PT / 2
    below = top - (factor.count("\n") + 1) * _LINE_PT
    for text, points, colour in ((factor, top, style.INK), (label, below, style.MUTED)):
        written = canvas.axes.annotate(
            text,
            (0, row_in),
            (-8, points),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8 if text is factor else 7,
            color=colour,
            linespacing=1.1,
            annotation_clip=False,
        )
        if arm:
            canvas.marks.add(written, arm)


def _draw_stage(
    canvas: _Canvas,
    row_in: float,
    reached: StageResult,
    look: style.ArmStyle,
    before: tuple[float, StageResult] | None,
) -> None:
    """A stage's mark, the bar that leads to it, and its figures beside."""
    axes, size = canvas.axes, canvas.unit.size
    x = reached.energy_j.mean / size
    parts: list[Artist] = []
    if before is not None and reached.step is not None:
        above_in, start = before
        start_x = start.energy_j.mean / size
        axes.plot([start_x] * 2, [above_in, row_in], color=style.MUTED, lw=0.7, ls=":", zorder=1)
        parts.append(canvas.bar(row_in, start.energy_j.mean, reached.energy_j.mean, look.colour))
        if reached.step.bounded:
            ends = [start_x * reached.step.low, start_x * reached.step.high]
            parts += axes.plot(ends, [row_in] * 2, "|-", color=style.INK, lw=1.1, ms=5, zorder=5)
        parts.append(canvas.beside(row_in, _STEP, _ratio_text(reached.step), "left"))
    edge = [row_in - _BAR_IN / 2, row_in + _BAR_IN / 2]
    parts += axes.plot([x] * 2, edge, color=look.ink, lw=2, solid_capstyle="butt", zorder=4)
    joules = reached.energy_j.mean
    digits = canvas.unit.show(joules) if x >= _MIN_SHOWN else energy(joules)
    parts.append(canvas.beside(row_in, _ENERGY, digits, "right"))
    score = reached.score.scaled(canvas.shown.metric.factor)
    show = canvas.shown.figures
    text = show(score.mean)
    if score.bounded:
        text += f"\n{show(score.low)} … {show(score.high)}"
    if _has_room():
        parts.append(canvas.beside(row_in, _SCORE, text, "right"))
    tip = f"{reached.arm}: {energy(reached.energy_j.mean)}, {show(score.mean)}"
    tip += f" {canvas.shown.metric.unit}".rstrip()
    if reached.step is not None:
        tip += f"; {times(reached.step)} than the stage before"
    for part in parts:
        canvas.marks.add(part, reached.arm, tip)
