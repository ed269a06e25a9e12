"""How many trainings or inferences until a search has paid for itself, or that it never does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.svg_ids import Marks
from reports.statistics.break_even import BreakEven, Payback, break_even
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.text import captions
from reports.text.lifetime import inferences_text
from reports.text.phrases import payback_limits, payback_text, repetitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from reports.data import StudyResults

NAME = "break_even"

_ROW_IN = 0.46
_GREY = "#8a8d91"
_LETTER_PX = 5.6
"""Width of a letter in a panel, on average."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MARGIN_PX = 8.0
"""Between a number and the edge of its panel; the same text is wider at other resolutions."""
_MIN_SPAN = 30.0
"""The least ratio of an axis' ends."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Behind words, so that no line runs through them."""
_FARTHEST = 100.0
"""An interval is drawn up to this many times beyond the numbers themselves."""


@dataclass(frozen=True)
class _Panel:
    """One question: its name in the singular, and where its answers are."""

    name: str
    of: Callable[[BreakEven], Payback | None]


_PANELS = (
    _Panel("training", lambda each: each.trainings),
    _Panel("inference", lambda each: each.inferences),
)


def draw(results: StudyResults) -> Figured | None:
    """A row per arm, a panel per question; None where no arm has anything to pay back."""
    found = [each for each in break_even(results) if each.trainings or each.inferences]
    asked = [panel for panel in _PANELS if any(panel.of(each) for each in found)]
    answers = [answer for panel in asked for each in found if (answer := panel.of(each))]
    if all(answer.verdict in ("immediately", "no search") for answer in answers):
        return None
    standing = standing_of(results.finished)
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, found, asked, standing, marks)
    score = results.metric.name
    how = {
        "training": (
            "Trainings: the search (all that was spent until the network had its final shape) is "
            "paid once; each training of the network it found then costs what its epochs cost "
            "after the search, for as many epochs as dense trained. That it reaches the same "
            f"{score} again is assumed, not measured. The dotted line is the first training. "
        ),
        "inference": f"Inferences: {inferences_text(results, found)} ",
    }
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    caption = (
        f"After how many repetitions a method has used less energy than {results.baseline_arm}, "
        f"run against run of the same seed, lost work left out. "
        f"{''.join(how[panel.name] for panel in asked)}"
        "Grey and dashed: undecided, because the saving may be none; the mark is "
        f"the point estimate. A network whose {score} is worse than dense’s by more than the "
        "margin is not credited. An arrow: the interval continues. Bars are Fieller’s 95 % "
        f"intervals for ratios. {hollow}"
    )
    brief = (
        f"Repetitions after which a method has used less energy than {results.baseline_arm}, with "
        "95 % intervals. Grey: undecided, as the saving may be none. "
        f"{captions.short_basis(results)}"
    )
    alt = "Numbers of repetitions to break even. " + " ".join(
        f"{each.arm}: "
        + ", ".join(
            f"{panel.name}s {payback_text(answer)}" for panel in asked if (answer := panel.of(each))
        )
        + "."
        for each in found
    )
    return Figured(
        *(figure, _frame(found), " ".join(caption.split()), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _frame(found: Sequence[BreakEven]) -> pd.DataFrame:
    """One row per arm and question."""
    rows = []
    for each in found:
        for panel in _PANELS:
            answer = panel.of(each)
            if answer is None:
                continue
            rows.append(
                {
                    "arm": each.arm,
                    "repeated": panel.name,
                    "n": answer.saving_j.n,
                    "price_j": answer.price_j.mean,
                    "saving_j": answer.saving_j.mean,
                    "saving_j_low": answer.saving_j.low,
                    "saving_j_high": answer.saving_j.high,
                    "verdict": answer.verdict,
                    "why": answer.why,
                    "times": answer.times,
                    "times_low": answer.low,
                    "times_high": answer.high,
                }
            )
    return pd.DataFrame(rows)


def _draw(
    results: StudyResults,
    found: Sequence[BreakEven],
    asked: Sequence[_Panel],
    standing: EnergyKinds,
    marks: Marks,
) -> Figure:
    names = [labels.wrapped(each.arm, 26) for each in found]
    rows = sum(max(1.0, 0.33 * (name.count("\n") + 1)) for name in names)
    figure = Figure(figsize=(style.width_in(), 1.15 + _ROW_IN * rows), layout="constrained")
    grid = figure.subplots(1, len(asked), sharey=True, squeeze=False).ravel()
    kind = "" if standing.measured else f" ({standing.adjective} energy)"
    style.set_title(figure, f"When a search has paid for itself{kind}")
    style.watermark(figure, standing)
    looks = style.arm_styles(results.arms, results.baseline_arm)
    grid[0].set_yticks(range(len(found)), names)
    grid[0].set_ylim(len(found) - 0.5, -0.5)
    for each, name in zip(found, grid[0].get_yticklabels(), strict=True):
        marks.add(name, each.arm)
    for axes, panel in zip(grid, asked, strict=True):
        answers = {each.arm: answer for each in found if (answer := panel.of(each))}
        axes.set_xlabel(f"{panel.name.capitalize()}s")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        _set_axis(axes, list(answers.values()), with_one=panel.name == "training")
    labels.freeze(figure)
    for axes, panel in zip(grid, asked, strict=True):
        for row, each in enumerate(found):
            if (answer := panel.of(each)) is not None:
                tip = f"{each.arm}, {panel.name}s to break even: {payback_text(answer)}"
                _draw_answer(axes, row, answer, looks[each.arm], standing, (marks, each.arm, tip))
    return figure


def _set_axis(axes: Axes, answers: Sequence[Payback], *, with_one: bool) -> None:
    """A logarithmic axis that holds every number, and the intervals up to a limit."""
    numbers = [answer.times for answer in answers if answer.times > 0]
    if not numbers:
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        return
    lows = [max(a.low, a.times / _FARTHEST) for a in answers if a.times > 0 and a.low > 0]
    highs = [min(a.high, a.times * _FARTHEST) for a in answers if a.times > 0 and a.high < math.inf]
    ends = [*numbers, *lows, *highs, *([1.0] if with_one else [])]
    low, high = min(ends), max(ends)
    room = max((high / low) ** 0.07, 1.6, math.sqrt(_MIN_SPAN * low / high))
    low, high = low / room, high * room
    axes.set_xscale("log")
    axes.set_xlabel(f"{axes.get_xlabel()} (log scale)")
    axes.set_xlim(low, high)
    subs = (1.0, 3.0) if high < 100 * low else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda times, _: _round_number(times)))
    axes.xaxis.set_minor_locator(NullLocator())
    if with_one:
        axes.axvline(1.0, color=style.MUTED, lw=0.8, ls=(0, (1, 3)), zorder=1)


def _round_number(times: float) -> str:
    """A tick's label: a plain number, or a power of ten where that would be long."""
    if 1e-4 < times < 1e5:
        return f"{times:,.6g}"
    power = math.floor(math.log10(times) + 1e-9)
    digit = round(times / 10**power)
    return f"{'' if digit == 1 else f'{digit}·'}10{str(power).translate(_RAISED)}"


def _draw_answer(
    axes: Axes,
    row: int,
    answer: Payback,
    look: style.ArmStyle,
    standing: EnergyKinds,
    owner: tuple[Marks, str, str],
) -> None:
    """A mark with its interval and its number, or the verdict in words."""
    marks, arm, tip = owner
    if not answer.times > 0:
        width = int(axes.get_window_extent().width / _LETTER_PX)
        why = f": {answer.why}" if answer.why else ""
        text = axes.text(
            0.02,
            row,
            labels.wrapped(f"{answer.verdict}{why}", width),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7.5,
            color=style.MUTED,
            bbox=_PAPER,
        )
        text.set_in_layout(False)
        marks.add(text, arm, tip)
        return
    shown = answer.verdict in ("after", "until")
    colour = look.shaded if shown else _GREY
    left, right = axes.get_xlim()
    if not math.isnan(answer.low):
        ends = max(answer.low, left), min(answer.high, right)
        [bar] = axes.plot(ends, [row] * 2, color=colour, lw=1.3, ls="-" if shown else "--")
        marks.add(bar, arm)
        for end, wanted, arrow in ((ends[0], answer.low, "<"), (ends[1], answer.high, ">")):
            if end != wanted:
                [head] = axes.plot(end, row, arrow, color=colour, ms=5, mew=0, clip_on=False)
                marks.add(head, arm)
    [dot] = axes.plot(
        *([answer.times], [row], look.marker),
        ms=7,
        mew=1.5,
        mec=colour,
        mfc=colour if standing.measured and shown else "white",
        zorder=3,
    )
    marks.add(dot, arm, tip)
    number = "ahead until " if answer.verdict == "until" else ""
    number += repetitions(answer.times)
    number += f" ({payback_limits(answer)})" if shown else " (undecided)"
    text = axes.annotate(
        number,
        (answer.times, row),
        (0, 6),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        color=look.ink if shown else style.MUTED,
        bbox=_PAPER,
    )
    text.set_in_layout(False)
    _keep_inside(axes, text)
    marks.add(text, arm)


def _keep_inside(axes: Axes, text: Annotation) -> None:
    """Move a text sideways until no end of it is outside its panel."""
    renderer = labels.renderer_of(axes)
    box, panel = text.get_window_extent(renderer), axes.get_window_extent(renderer)
    shift_px = max(panel.x0 + _MARGIN_PX - box.x0, 0.0) - max(box.x1 - panel.x1 + _MARGIN_PX, 0.0)
    figure = axes.get_figure(root=True)
    if figure is not None:
        text.set_position((shift_px * 72 / figure.dpi, 6))
