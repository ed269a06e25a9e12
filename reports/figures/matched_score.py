"""Each method's frontier against the baseline, and where it crosses its score and its energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.settings.metric import ACCURACY, Metric
from reports.figures.figure_result import Figured
from reports.plotting import labels, naming, style
from reports.plotting.axes import set_ratio_axis
from reports.plotting.svg_ids import Marks
from reports.statistics.arm_groups import arm_groups
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.frontier import Frontier, frontiers
from reports.tables.matched import matched_frame
from reports.text import captions
from reports.text.phrases import crossing_text
from reports.text.scores import Shown
from reports.text.units import fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    from reports.data import StudyResults

NAME = "matched_score"
_FARTHEST = 2.0
"""Intervals are drawn up to this many times beyond the levels."""
_STEP_PX = 4.0
"""From one box on a line to the next."""
_GUIDE: dict[str, Any] = {"color": style.INK, "lw": 0.8, "zorder": 1}


def draw(results: StudyResults) -> Figured | None:
    """A line per method with several levels, a mark per level; None where no method has any."""
    found = [each for each in frontiers(results) if len(each.arms) > 1]
    if not found:
        return None
    baseline = str(results.baseline_arm)
    shown, standing = Shown(results.metric), standing_of(results.finished)
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, found, standing, marks)
    cut = _reach(found, _least(results.metric))
    beyond = any(not _within(each, cut) for each in found)
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    caption = (
        f"Each level of a method against {baseline}, paired by seed: mean difference in test "
        f"{shown.name} over the geometric mean of the energy's ratio. Lines join the levels that "
        "no other of the method dominates. Where a line crosses the horizontal one, the method has "
        f"{baseline}'s {shown.name}; where it crosses the vertical one, its energy. Bars there are "
        f"the 95 % intervals of the crossing{' (some extend beyond the axes)' if beyond else ''}. "
        f"Nothing is extrapolated. {hollow}"
    )
    brief = (
        f"Levels of each method against {baseline}: difference in {shown.name} over relative "
        f"energy. Lines cross the horizontal one at {baseline}'s {shown.name}, the vertical one at "
        f"its energy; bars: 95 % intervals. {captions.short_basis(results)}"
    )
    alt = f"Frontiers of {standing.adjective} energy and {shown.name} against {baseline}. "
    alt += " ".join(f"{crossing_text(each, baseline, shown)}." for each in found)
    return Figured(
        *(figure, matched_frame(results), " ".join(caption.split()), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _least(metric: Metric) -> float:
    """The least span of an axis of differences, as they are shown: a fifth of the margin."""
    return (metric.margin or ACCURACY.margin) / 5


def _reach(found: Sequence[Frontier], least: float) -> tuple[float, float, float, float]:
    """How far intervals are drawn: ratios from and to, differences from and to."""
    places = [level.place for each in found for level in each.levels]
    logs = [log for log, _ in places] + [0.0]
    differences = [value for _, value in places] + [0.0]
    room = max(max(differences) - min(differences), least)
    return (
        math.exp(min(logs)) / _FARTHEST,
        math.exp(max(logs)) * _FARTHEST,
        min(differences) - room,
        max(differences) + room,
    )


def _within(frontier: Frontier, reach: tuple[float, float, float, float]) -> bool:
    left, right, bottom, top = reach
    return all(
        found.status != "reached"
        or not found.value.bounded
        or (low <= found.value.low and found.value.high <= high)
        for found, low, high in (
            (frontier.energy, left, right),
            (frontier.difference, bottom, top),
        )
    )


def _draw(
    results: StudyResults, found: Sequence[Frontier], standing: EnergyKinds, marks: Marks
) -> Figure:
    baseline = str(results.baseline_arm)
    figure = Figure(figsize=(style.width_in(), 4.1), layout="constrained")
    axes = figure.subplots()
    shown, least = Shown(results.metric), _least(results.metric)
    title = f"Energy at {baseline}'s {shown.name}, {shown.name} at {baseline}'s energy"
    style.set_title(axes, title)
    axes.set_xlabel(f"{standing.axis} relative to {baseline} (log scale)")
    axes.set_ylabel(shown.difference_axis(f"{shown.title} against {baseline}"))
    style.watermark(figure, standing)
    looks = style.arm_styles(results.arms, results.baseline_arm)
    reach = _reach(found, least)
    places = [(math.exp(level.place[0]), level.place[1]) for f in found for level in f.levels]
    for each in found:
        _draw_line(axes, each, looks, standing, shown, marks)
        places += _draw_crossings(axes, each, looks[_bearer(each, baseline)], reach)
    axes.axhline(0, **_GUIDE)
    axes.axvline(1, **_GUIDE)
    set_ratio_axis(axes, min(x for x, _ in places), max(x for x, _ in places))
    low, high = min(y for _, y in places), max(y for _, y in places)
    room = 0.08 * max(high - low, least)
    axes.set_ylim(min(low, 0) - room, max(high, 0) + room)
    labels.freeze(figure)
    _name(axes, found, looks, baseline, marks)
    return figure


def _bearer(frontier: Frontier, baseline: str) -> str:
    """The arm whose colour the frontier has."""
    return baseline if baseline in frontier.arms else frontier.arms[0]


def _draw_line(
    axes: Axes,
    frontier: Frontier,
    looks: Mapping[str, style.ArmStyle],
    standing: EnergyKinds,
    shown: Shown,
    marks: Marks,
) -> None:
    """The front as a line, and every level as its arm's mark."""
    places = {level.arm: level.place for level in frontier.levels}
    x, y = zip(*(places[arm] for arm in frontier.front), strict=True)
    colour = looks[frontier.front[-1]].colour
    if style.BASELINE_COLOUR in (looks[arm].colour for arm in frontier.arms):
        colour = style.BASELINE_COLOUR
    axes.plot([math.exp(log) for log in x], y, color=colour, lw=1.2, zorder=2)
    for arm, (log, difference) in places.items():
        look = looks[arm]
        face = look.colour if standing.measured else "white"
        (mark,) = axes.plot(
            math.exp(log), difference, look.marker, ms=6.5, mfc=face, mec=look.colour
        )
        mark.set(markeredgewidth=1.4, zorder=3)
        change = f"{shown.changes(difference)} {shown.difference_unit.symbol}".rstrip()
        tip = f"{arm}: {change} at {fixed(math.exp(log), 2)} of the energy"
        marks.add(mark, arm, tip)


def _draw_crossings(
    axes: Axes, frontier: Frontier, look: style.ArmStyle, reach: tuple[float, float, float, float]
) -> list[tuple[float, float]]:
    """The intervals of both crossings, up to a limit; their ends."""
    left, right, bottom, top = reach
    ends: list[tuple[float, float]] = []
    ratio, difference = frontier.energy, frontier.difference
    if ratio.status == "reached" and ratio.value.bounded:
        span = max(ratio.value.low, left), min(ratio.value.high, right)
        ends += [(span[0], 0.0), (span[1], 0.0)]
        axes.plot(span, (0, 0), color=look.faint, lw=3.2, solid_capstyle="butt")
    if difference.status == "reached" and difference.value.bounded:
        span = max(difference.value.low, bottom), min(difference.value.high, top)
        ends += [(1.0, span[0]), (1.0, span[1])]
        axes.plot((1, 1), span, color=look.faint, lw=3.2, solid_capstyle="butt")
    return ends


def _name(
    axes: Axes,
    found: Sequence[Frontier],
    looks: Mapping[str, style.ArmStyle],
    baseline: str,
    marks: Marks,
) -> None:
    """Each frontier's name beside one of its levels, or all of them in a legend."""
    places = {
        level.arm: (math.exp(level.place[0]), level.place[1])
        for each in found
        for level in each.levels
    }
    taken = naming.around(axes.transData.transform(list(places.values())), 5) + _lines(axes)
    written: list[Text] = []
    for each in found:
        bearer = _bearer(each, baseline)
        ends = [places[arm] for arm in reversed(each.front)]
        name = labels.wrapped(each.name, 28)
        text = naming.write(axes, name, ends, looks[bearer].ink, taken)
        if text is None:
            break
        marks.add(text, bearer)
        written.append(text)
    else:
        _name_levels(axes, found, places, looks, taken, marks)
        return
    for text in written:
        text.remove()
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, ms=5)
        for look in (looks[_bearer(each, baseline)] for each in found)
    ]
    figure = axes.get_figure(root=True)
    if figure is not None:
        labels.legend_below(figure, handles, [each.name for each in found])


def _lines(axes: Axes) -> list[Bbox]:
    """Every line as a row of small boxes in display coordinates."""
    boxes = []
    for line in axes.lines:
        corners = line.get_transform().transform(line.get_xydata())
        boxes += naming.around(naming.along(corners, _STEP_PX), 2)
    return boxes


def _name_levels(
    axes: Axes,
    found: Sequence[Frontier],
    places: Mapping[str, tuple[float, float]],
    looks: Mapping[str, style.ArmStyle],
    taken: list[Bbox],
    marks: Marks,
) -> None:
    """The settings that set each level of a frontier apart, where there is room."""
    for each in found:
        for group in arm_groups(arm for arm in each.arms if arm != each.name):
            for arm in group.arms:
                for width in (24, 12):
                    name = labels.wrapped(group.short(arm), width)
                    text = naming.write(axes, name, [places[arm]], looks[arm].ink, taken)
                    if text is not None:
                        marks.add(text, arm)
                        break
