"""Where the energy goes: the mean energy of each phase, stacked to the arm's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from reports import captions, labels, style
from reports.figures.figured import Figured
from reports.figures.phase_colours import (
    PRUNING,
    PRUNING_STEPS,
    Colour,
    number,
    phase_colours,
    rank,
    stem,
)
from reports.standing import Standing, standing_of
from reports.statistics import Interval, t_interval
from reports.units import Unit, energy, energy_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reports.data import StudyResults

NAME = "energy_phases"
_BAR_IN = 0.42


def draw(results: StudyResults) -> Figured:
    """One bar an arm, one segment a phase label; a bar is as long as the arm's mean energy."""
    frame = _frame(results)
    totals = {
        arm: t_interval(results.by_seed(arm, "energy_j").values())
        for arm in dict.fromkeys(frame["arm"])
    }
    with style.printed():
        figure = _draw(results, frame, totals)
    standing = standing_of(results.finished)
    hatched = "" if standing.measured else f"Hatched because the energy is {standing.adjective}. "
    caption = (
        f"Mean energy of each phase ({PRUNING}: scores, masks, shrinking, snapshots, rewinding); "
        "the segments of a bar add up to the arm's mean energy, "
        "and the line at its end is the interval of that mean. "
        f"{hatched}{captions.seeds(results)} {captions.provenance(results)}"
    )
    alt = f"Stacked bars of {standing.adjective} energy by phase. " + " ".join(
        f"{arm}: {energy(total.mean)}." for arm, total in totals.items()
    )
    return Figured(figure, frame, caption, alt)


def _frame(results: StudyResults) -> pd.DataFrame:
    """One row an arm and phase label, with its mean over all of the arm's finished runs."""
    phases = results.of_finished(results.phases)
    phases["phase"] = phases["phase"].where(~phases["phase"].isin(PRUNING_STEPS), PRUNING)
    runs = results.finished.groupby("arm")["seed"].nunique()
    rows = []
    for arm in results.finished_arms:
        of_arm = phases[phases["arm"] == arm]
        # A run without a phase spent nothing in it, so the divisor is every run.
        sums = of_arm.groupby("phase", sort=False)[["energy_j", "duration_s"]].sum() / runs[arm]
        rows += [
            {"arm": arm, "phase": str(phase), "energy_j": joules, "duration_s": seconds}
            for phase, joules, seconds in sums.itertuples()
        ]
    return pd.DataFrame(rows, columns=["arm", "phase", "energy_j", "duration_s"])


def _draw(results: StudyResults, frame: pd.DataFrame, totals: dict[str, Interval]) -> Figure:
    standing = standing_of(results.finished)
    colours = phase_colours(str(phase) for phase in frame["phase"])
    unit = energy_unit([*(t.mean for t in totals.values()), *(t.high for t in totals.values())])
    names = [labels.wrapped(arm, 26) for arm in totals]
    lines = sum(max(1.0, 0.42 * (name.count("\n") + 1)) for name in names)
    figure = Figure(figsize=(style.WIDTH_IN, 1.0 + _BAR_IN * max(1.0, lines)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Where the energy goes")
    axes.set_xlabel(f"{standing.axis}, mean over seeds ({unit.symbol})")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    style.watermark(figure, standing)
    segments = _draw_bars(axes, frame, list(totals), colours, unit, standing)
    axes.set_yticks(range(len(totals)), names)
    axes.set_ylim(len(totals) - 0.45, -0.55)
    _draw_totals(axes, totals, unit)
    if totals:
        labels.legend_below(figure, *_legend(colours, standing))
    _name_segments(axes, segments, colours)
    return figure


def _draw_bars(
    axes: Axes,
    frame: pd.DataFrame,
    arms: list[str],
    colours: dict[str, Colour],
    unit: Unit,
    standing: Standing,
) -> list[tuple[str, Rectangle]]:
    """The segments, end to end; each with its label."""
    segments = []
    ends = dict.fromkeys(arms, 0.0)
    for arm, phase, joules in zip(frame["arm"], frame["phase"], frame["energy_j"], strict=True):
        bar = axes.barh(
            arms.index(arm),
            joules / unit.size,
            left=ends[arm],
            height=0.62,
            color=colours[phase],
            edgecolor="white",
            linewidth=0.5,
            hatch=None if standing.measured else style.HATCH,
        )
        ends[arm] += joules / unit.size
        segments.append((str(phase), bar.patches[0]))
    return segments


def _draw_totals(axes: Axes, totals: dict[str, Interval], unit: Unit) -> None:
    """The interval of each arm's mean, and the mean in figures at the end of the bar."""
    longest = max((t.high if t.bounded else t.mean for t in totals.values()), default=1.0)
    for row, total in enumerate(totals.values()):
        end = total.mean
        if total.bounded:
            span = [total.low / unit.size, total.high / unit.size]
            axes.plot(span, [row, row], color=style.INK, lw=1.1, solid_capstyle="butt")
            end = max(total.high, total.mean)
        text = f"{unit.show(total.mean)} {unit.symbol}"
        axes.annotate(text, (end / unit.size, row), (5, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, longest / unit.size * 1.16)


def _legend(colours: dict[str, Colour], standing: Standing) -> tuple[list[Patch], list[str]]:
    """One entry a stem; a numbered one says from where to where its numbers go."""
    families: dict[str, list[str]] = {}
    for label in colours:
        families.setdefault(stem(label), []).append(label)
    handles, names = [], []
    for name, members in sorted(families.items(), key=lambda family: rank(family[0])):
        numbers = sorted(n for n in map(number, members) if n is not None)
        first = members[0]
        if numbers:
            first = next(member for member in members if number(member) == numbers[0])
        hatch = None if standing.measured else style.HATCH
        handles.append(Patch(fc=colours[first], ec="white", lw=0.5, hatch=hatch))
        names.append(f"{name} {numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else first)
    return handles, names


def _name_segments(
    axes: Axes, segments: list[tuple[str, Rectangle]], colours: dict[str, Colour]
) -> None:
    """Write each label inside its segment, or its number alone, if it fits."""
    renderer = labels.renderer_of(axes)
    for label, bar in segments:
        room = bar.get_window_extent(renderer)
        tail = number(label)
        for text in (label, *([] if tail is None else [str(tail)])):
            written = axes.text(
                bar.get_x() + bar.get_width() / 2,
                bar.get_y() + bar.get_height() / 2,
                text,
                ha="center",
                va="center",
                fontsize=7.5,
                color=style.INK if _is_light(colours[label]) else "white",
                bbox={"facecolor": colours[label], "edgecolor": "none", "pad": 1.2},
            )
            written.set_in_layout(False)
            if written.get_window_extent(renderer).width + 8 <= room.width:
                break
            written.remove()


def _is_light(colour: Colour) -> bool:
    """Whether dark text reads better on a colour (relative luminance, WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18
