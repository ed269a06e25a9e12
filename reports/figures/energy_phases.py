"""Where the energy goes: the mean energy of each phase, stacked to the arm's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.phase_colours import PRUNING, Colour, gathered, legend, number, phase_colours
from reports.plotting.score_energy_axes import FARTHEST
from reports.plotting.svg_ids import Marks
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.statistics import Interval, energy_interval
from reports.text import captions
from reports.text.units import Unit, energy, energy_unit, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from reports.data import StudyResults

NAME = "energy_phases"
_BAR_IN = 0.42
_BELOW = 0.39
"""How far below the middle of its bar an interval is drawn, in rows: it crosses no name."""
_NARROW = 0.005
"""A segment narrower than this share of the axis is too narrow to point at."""
_MIN_PX = 12.0
"""Narrower segments have room for no text."""


def draw(results: StudyResults) -> Figured | None:
    """One bar per arm, one segment per phase label; a bar is as long as the arm's mean energy.

    None where no energy is known.
    """
    frame = _frame(results)
    if frame.empty:
        return None
    totals = {
        arm: energy_interval(results.by_seed(arm, "energy_j").values())
        for arm in dict.fromkeys(frame["arm"])
    }
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(standing_of(results.finished), frame, totals, marks)
    standing = standing_of(results.finished)
    hatched = "" if standing.measured else f"Hatched because the energy is {standing.adjective}. "
    caption = (
        f"Mean energy of each phase ({PRUNING}: scores, masks, shrinking, snapshots, rewinding); "
        "the segments of a bar add up to the method's mean energy, "
        "and the line below its end is the interval of that mean. "
        f"{_cut(totals)}"
        f"{hatched}"
    )
    brief = (
        "Mean energy of each phase. A bar adds up to the mean energy of its method; the line "
        f"below its end is the 95 % interval of that mean. {captions.short_basis(results)}"
    )
    alt = f"Stacked bars of {standing.adjective} energy by phase. " + " ".join(
        f"{arm}: {energy(total.mean)}, most of it for {_largest(frame, arm)}."
        for arm, total in totals.items()
    )
    return Figured(
        *(figure, frame, caption.strip(), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _frame(results: StudyResults) -> pd.DataFrame:
    """One row per arm and phase label, with its mean over the arm's runs of known energy."""
    known = results.finished.dropna(subset=["energy_j"])
    phases = results.phases.merge(known[["arm", "seed"]], on=["arm", "seed"], how="inner")
    phases["phase"] = phases["phase"].map(gathered)
    sums = phases.groupby(["arm", "phase"], sort=False)[["energy_j", "duration_s"]].sum()
    # A run without a phase spent nothing in it, so the divisor is every run.
    runs = known.groupby("arm")["seed"].nunique().reindex(sums.index.get_level_values("arm"))
    means = sums.div(runs.to_numpy(), axis=0).reset_index()
    places = {arm: place for place, arm in enumerate(results.arms)}
    order = means["arm"].map(places).sort_values(kind="stable").index
    return means.loc[order].reset_index(drop=True)


def _farthest(totals: Mapping[str, Interval]) -> float:
    return FARTHEST * max(total.mean for total in totals.values())


def _cut(totals: Mapping[str, Interval]) -> str:
    """What a line that ends at the edge means, where there is one; else empty."""
    if not any(total.high > _farthest(totals) for total in totals.values()):
        return ""
    return "A line that reaches the right edge extends beyond it. "


def _largest(frame: pd.DataFrame, arm: str) -> str:
    of_arm = frame[frame["arm"] == arm]
    return str(of_arm["phase"].iloc[of_arm["energy_j"].argmax()])


def _draw(
    standing: EnergyKinds, frame: pd.DataFrame, totals: dict[str, Interval], marks: Marks
) -> Figure:
    colours = phase_colours(str(phase) for phase in frame["phase"])
    unit = energy_unit(total.mean for total in totals.values())
    names = [labels.wrapped(arm, 26) for arm in totals]
    lines = sum(max(1.0, 0.42 * (name.count("\n") + 1)) for name in names)
    figure = Figure(
        figsize=(style.width_in(), 1.0 + _BAR_IN * max(1.0, lines)), layout="constrained"
    )
    axes = figure.subplots()
    style.set_title(axes, "Where the energy goes")
    axes.set_xlabel(f"{standing.axis}, mean over seeds ({unit.symbol})")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    style.watermark(figure, standing)
    axes.set_yticks(range(len(totals)), names)
    axes.set_ylim(len(totals) - 0.45, -0.55)
    for arm, name in zip(totals, axes.get_yticklabels(), strict=True):
        marks.add(name, arm)
    _draw_totals(axes, totals, unit, marks)
    segments = _draw_bars(axes, frame, colours, unit, standing, marks)
    entries = legend(colours)
    hatch = None if standing.measured else style.HATCH
    handles = [Patch(fc=colour, ec="white", lw=0.5, hatch=hatch) for colour in entries.values()]
    labels.legend_below(figure, handles, list(entries))
    _name_segments(axes, segments, colours, marks)
    return figure


def _draw_totals(axes: Axes, totals: dict[str, Interval], unit: Unit, marks: Marks) -> None:
    """The interval of each arm's mean, and the mean in figures at the end of the bar."""
    farthest = _farthest(totals)
    longest = max(min(max(t.mean, t.high if t.bounded else 0.0), farthest) for t in totals.values())
    for row, (arm, total) in enumerate(totals.items()):
        end = total.mean
        tip = f"{arm}: {energy(total.mean)}"
        if total.bounded:
            span = [total.low / unit.size, min(total.high, farthest) / unit.size]
            (line,) = axes.plot(
                span, [row + _BELOW] * 2, color=style.INK, lw=1.1, solid_capstyle="butt", zorder=3
            )
            end = min(total.high, farthest)
            tip += f" (95 % CI {energy(total.low)} … {energy(total.high)})"
            marks.add(line, arm)
        place = (end / unit.size, row)
        text = axes.annotate(
            energy(total.mean), place, (5, 0), textcoords="offset points", va="center"
        )
        marks.add(text, arm, f"{tip}, n = {total.n}")
    axes.set_xlim(0, (longest / unit.size or 1.0) * 1.16)


def _draw_bars(
    axes: Axes,
    frame: pd.DataFrame,
    colours: dict[str, Colour],
    unit: Unit,
    standing: EnergyKinds,
    marks: Marks,
) -> list[tuple[str, str, Rectangle]]:
    """The segments, end to end; each with its arm and label."""
    segments = []
    width = axes.get_xlim()[1]
    hatch = None if standing.measured else style.HATCH
    of_arm = frame.groupby("arm", sort=False)["energy_j"]
    ends = of_arm.cumsum()
    starts = ends.groupby(frame["arm"]).shift(fill_value=0.0)
    shares = frame["energy_j"] / of_arm.transform("sum")
    rows = {arm: row for row, arm in enumerate(dict.fromkeys(frame["arm"]))}
    for arm, phase, joules, start, share in zip(
        frame["arm"], frame["phase"], frame["energy_j"], starts, shares, strict=True
    ):
        length = joules / unit.size
        bar = Rectangle((start / unit.size, rows[arm] - 0.31), length, 0.62)
        is_wide = length > _NARROW * width
        # A white edge would cover a narrow segment.
        width_pt = 0.5 if is_wide else 0.0
        bar.set(facecolor=colours[phase], edgecolor="white", linewidth=width_pt, hatch=hatch)
        axes.add_patch(bar)
        tip = f"{arm}, {phase}: {energy(joules)}, {percent(share)} %"
        marks.add(bar, arm, tip if is_wide else "")
        segments.append((arm, phase, bar))
    return segments


def _name_segments(
    axes: Axes,
    segments: list[tuple[str, str, Rectangle]],
    colours: dict[str, Colour],
    marks: Marks,
) -> None:
    """Write each label inside its segment, or its number alone, if it fits."""
    renderer = labels.renderer_of(axes)
    widths: dict[str, float] = {}
    for arm, label, bar in segments:
        room = bar.get_window_extent(renderer).width
        tail = number(label)
        for text in (label, *([] if tail is None else [str(tail)])):
            if room < _MIN_PX or widths.get(text, 0.0) + 8 > room:
                continue
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
            widths[text] = written.get_window_extent(renderer).width
            if widths[text] + 8 <= room:
                marks.add(written, arm)
                break
            written.remove()


def _is_light(colour: Colour) -> bool:
    """Whether dark text reads better on a colour."""
    return style.contrast(style.INK, colour) > style.contrast("white", colour)
