"""The energy of each method's recipe and inferences, over the number of inferences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import tick_label
from reports.plotting.svg_ids import Marks
from reports.statistics.break_even import Payback, break_even
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.lifetime import inferences_per_year, lifetimes
from reports.text import captions
from reports.text.lifetime import devices_text, retraining_text
from reports.text.phrases import payback_text
from reports.text.units import energy_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from reports.data import StudyResults
    from reports.statistics.lifetime import Lifetime

NAME = "lifetime"
_POINTS = 61
_BEYOND = 30.0
"""How many times the axis reaches beyond where use draws as much as training, and lines cross."""
_NOT_CREDITED = ":"


def draw(results: StudyResults) -> Figured | None:
    """A line per arm whose inferences were measured; None where only dense's were, or none."""
    lives = lifetimes(results)
    if len(lives) < 2 or not all(_turns(each) > 0 for each in lives):
        return None
    answers = {each.arm: each.inferences for each in break_even(results) if each.inferences}
    kinds = EnergyKinds.union(
        [standing_of(results.finished), *(each.inferences.kinds for each in lives)]
    )
    counts = _counts(lives, answers, inferences_per_year(results))
    frame = _frame(lives, counts)
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, frame, answers, kinds, marks)
    [how] = lives[0].inferences.how
    score = results.metric.name
    caption = (
        "Energy of the recipe (lost work left out) and of inferences with its network, "
        f"each as the command inference measured it ({how}). Bands: 95 % Student-t over seeds. "
        f"{' '.join(dict.fromkeys(devices_text(results, each.inferences) for each in lives))} "
        f"{retraining_text(results)} A mark and its bar: where a line crosses "
        f"{results.baseline_arm}’s, with the 95 % interval of that number; an undecided crossing "
        f"has none. Dotted: a network whose {score} is worse by more than the margin is not "
        "credited."
    )
    brief = (
        "Energy of each method’s recipe and inferences over their number, with 95 % bands; marks: "
        f"crossings with {results.baseline_arm}. {captions.short_basis(results)}"
    )
    alt = "Energy over the number of inferences, against the baseline. " + " ".join(
        f"{arm}: {_answer_text(answer)}." for arm, answer in answers.items()
    )
    return Figured(
        *(figure, frame, " ".join(caption.split()), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _turns(life: Lifetime) -> float:
    """After how many inferences they have drawn as much as the recipe."""
    recipe_j = life.energy_j(0).mean
    return recipe_j / float(np.mean(list(life.inferences.energy_j.values())))


def _counts(lives: Sequence[Lifetime], answers: Mapping[str, Payback], year: float) -> list[float]:
    """Numbers of inferences, evenly on the log scale, around where anything happens."""
    places = [_turns(each) for each in lives]
    places += [answers[each.arm].times for each in lives if each.arm in answers]
    known = [each for each in (*places, year) if each > 0]
    low, high = min(known) / _BEYOND, max(known) * _BEYOND
    return [float(each) for each in np.geomspace(low, high, _POINTS)]


def _frame(lives: Sequence[Lifetime], counts: Sequence[float]) -> pd.DataFrame:
    """A row per arm and number of inferences."""
    rows = []
    for each in lives:
        for count in counts:
            found = each.energy_j(count)
            rows.append(
                {
                    "arm": each.arm,
                    "inferences": count,
                    "n": found.n,
                    "energy_j": found.mean,
                    "energy_j_low": found.low,
                    "energy_j_high": found.high,
                }
            )
    return pd.DataFrame(rows)


def _draw(
    results: StudyResults,
    frame: pd.DataFrame,
    answers: Mapping[str, Payback],
    kinds: EnergyKinds,
    marks: Marks,
) -> Figure:
    figure = Figure(figsize=(style.width_in(), 4.2), layout="constrained")
    axes = figure.subplots()
    style.set_title(axes, "Energy over a network’s lifetime")
    style.watermark(figure, kinds)
    unit = energy_unit(frame["energy_j"])
    looks = style.arm_styles(results.arms, results.baseline_arm)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("Inferences (log scale)")
    axes.set_ylabel(f"{kinds.axis} of recipe and inferences, {unit.symbol} (log scale)")
    handles, names = [], []
    for arm, rows in frame.groupby("arm", sort=False):
        answer, look = answers.get(str(arm)), looks[str(arm)]
        credited = answer is None or answer.verdict != "not credited"
        dashes = look.line if credited else _NOT_CREDITED
        x, y, low, high = (
            rows[each].to_numpy() / size
            for each, size in (
                ("inferences", 1.0),
                *((f"energy_j{end}", unit.size) for end in ("", "_low", "_high")),
            )
        )
        if not np.isnan(low).any():
            axes.fill_between(x, low, high, color=look.shaded, alpha=0.16, lw=0)
        [line] = axes.plot(x, y, color=look.shaded, ls=dashes, lw=1.5)
        text = f"{arm}: {_answer_text(answer)}" if answer else str(arm)
        marks.add(line, str(arm), text)
        handles.append(Line2D([], [], color=look.shaded, ls=dashes, lw=1.5))
        names.append(text)
    _mark_crossings(axes, results, frame, answers, looks, marks)
    year = inferences_per_year(results)
    if year > 0:
        axes.axvline(year, color=style.MUTED, lw=0.8, ls=(0, (1, 3)), zorder=1)
        handles.append(Line2D([], [], color=style.MUTED, lw=0.8, ls=(0, (1, 3))))
        names.append("a year")
    axes.set_xlim(frame["inferences"].min(), frame["inferences"].max())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, (1.0,), numticks=7))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(tick_label))
    labels.legend_below(figure, handles, names)
    labels.freeze(figure)
    return figure


def _answer_text(answer: Payback) -> str:
    """Such as "paid back after 4,670 (3,450 … 5,930)"."""
    return f"{'paid back after ' * (answer.verdict == 'after')}{payback_text(answer)}"


def _mark_crossings(
    axes: Axes,
    results: StudyResults,
    frame: pd.DataFrame,
    answers: Mapping[str, Payback],
    looks: Mapping[str, style.ArmStyle],
    marks: Marks,
) -> None:
    """Where lines cross the baseline's, with the interval, inside the axes."""
    unit = energy_unit(frame["energy_j"])
    dense = frame[frame["arm"] == results.baseline_arm]
    left, right = float(frame["inferences"].min()), float(frame["inferences"].max())
    for arm in dict.fromkeys(frame["arm"]):
        answer = answers.get(arm)
        if answer is None or answer.verdict not in ("after", "until") or not answer.times > 0:
            continue
        logs = np.interp(
            math.log(answer.times), np.log(dense["inferences"]), np.log(dense["energy_j"])
        )
        height = math.exp(float(logs)) / unit.size
        ends = max(answer.low, left), min(answer.high, right)
        look = looks[arm]
        [bar] = axes.plot(ends, [height] * 2, color=look.ink, lw=2.4, solid_capstyle="butt")
        [dot] = axes.plot(answer.times, height, look.marker, ms=6, mfc="white", mec=look.ink)
        dot.set_zorder(4)
        marks.add(bar, arm)
        marks.add(dot, arm, f"{arm} crosses {results.baseline_arm}: {payback_text(answer)}")
