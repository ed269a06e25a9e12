"""Test score against the energy of the whole recipe: runs, means, the front and the margin."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

from reports.figures.figure_result import Figured
from reports.plotting import labels, naming, style
from reports.plotting.score_energy_axes import (
    IN_JOULES,
    Dot,
    EnergyScale,
    Place,
    Plane,
    Point,
    is_sure,
    steps,
)
from reports.plotting.svg_ids import Marks
from reports.statistics.arm_groups import arm_groups, split_level
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.frontier import pareto_front
from reports.statistics.statistics import energy_interval, score_interval
from reports.text import captions
from reports.text.scores import Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.data import StudyResults


NAME = "score_energy"


def draw(results: StudyResults) -> Figured | None:
    """Every finished run faint, each arm's mean with its intervals, and the front of the means."""
    runs, scale = results.finished, _energy_scale(results)
    spent = {arm: _spent(results, arm, scale) for arm in results.finished_arms}
    every = [
        Dot(str(arm), int(seed), spent[str(arm)].get(int(seed), math.nan), float(score))
        for arm, seed, score in zip(runs["arm"], runs["seed"], runs["test_score"], strict=True)
    ]
    dots = [dot for dot in every if math.isfinite(dot.energy) and math.isfinite(dot.score)]
    points = [
        Point(
            arm,
            energy_ratio(results, arm, scale.relative_to)
            if scale.relative_to
            else energy_interval(spent[arm].values()),
            score_interval(results.by_seed(arm, "test_score").values(), results.metric),
        )
        for arm in results.finished_arms
    ]
    points = [point for point in points if point.energy.n and point.score.n]
    if not points:
        return None
    sign = results.metric.sign
    front = pareto_front({each.arm: (each.energy.mean, sign * each.score.mean) for each in points})
    with style.printed():
        plot = Scatter(results, dots, points, front, scale)
    return Figured(
        plot.figure,
        _frame(every, points, front, scale),
        _caption(results, points, plot.plane, scale),
        _alt(results, points, front, scale),
        plot.marks,
        brief=_brief(results, points),
        basis=captions.basis(results),
    )


def _energy_scale(results: StudyResults) -> EnergyScale:
    """Joules; ratios to the baseline's where each seed was measured on a device of its own.

    Where devices differ within a seed, a ratio would be one of devices, too.
    """
    arm, runs = results.baseline_arm, results.finished
    several = len(captions.words(runs["energy_device"])) > 1 and arm in results.finished_arms
    apart = (runs.groupby("seed")["energy_device"].nunique() == 1).all()
    return EnergyScale(str(arm)) if several and apart else IN_JOULES


def _spent(results: StudyResults, arm: str, scale: EnergyScale) -> dict[int, float]:
    """By seed, the energy of an arm's runs as the scale has it."""
    spent_j = results.by_seed(arm, "energy_j")
    if not scale.relative_to:
        return spent_j
    base_j = results.by_seed(scale.relative_to, "energy_j")
    return {seed: j / base_j[seed] for seed, j in spent_j.items() if base_j.get(seed, 0) > 0}


def _caption(results: StudyResults, points: list[Point], plane: Plane, scale: EnergyScale) -> str:
    name = results.metric.name
    text = (
        f"Test {name} against the energy of the whole recipe, search, evaluation and lost "
        "attempts included. Large marks are means, small ones single runs."
    )
    parts = [text]
    if scale.relative_to:
        parts.append(
            "Energies were measured on several devices, so each run's is relative to that of "
            f"{scale.relative_to} with the same seed; means are geometric."
        )
    if len(points) > 1:
        parts.append(
            f"Line: best mean {name} for the energy (the Pareto front); dashed where overlapping "
            "intervals make membership uncertain."
        )
    if any(group.levels for group in arm_groups(point.arm for point in points)):
        parts.append(
            "Methods that differ only in the share they prune are joined and labelled with it."
        )
    if any(point.arm == results.baseline_arm for point in points):
        side = "down" if results.metric.higher_is_better else "up"
        parts.append(
            f"Shaded: {margin_text(results)}, from its mean {side}; whether a method is "
            "non-inferior is judged by paired intervals, not by this band."
        )
    if plane.is_cut:
        parts.append("An interval of energy that reaches the right edge extends beyond it.")
    if plane.log:
        parts.append("The energy axis is logarithmic.")
    parts.append(f"The {name} axis does not start at zero.")
    if not results.metric.higher_is_better:
        parts.append("Lower is better.")
    return " ".join(parts)


def _brief(results: StudyResults, points: list[Point]) -> str:
    name = results.metric.name
    text = (
        f"Test {name} against the energy of the whole recipe. Large marks: means with 95 % "
        "intervals; small: single runs"
    )
    if len(points) > 1:
        text += f"; line: best mean {name} for the energy"
    return f"{text}. {captions.short_basis(results)}"


def _alt(results: StudyResults, points: list[Point], front: list[str], scale: EnergyScale) -> str:
    shown, adjective = Shown(results.metric), standing_of(results.finished).adjective
    text = f"Scatter of test {shown.name} against {adjective} energy. "
    named = [p for p in points if len(points) < CROWD or p.arm in {*front, results.baseline_arm}]
    text += " ".join(
        f"{p.arm}: {shown.text(p.score.mean)} at {scale.text(p.energy.mean)}." for p in named
    )
    return f"{text} On the Pareto front: {', '.join(front)}." if len(points) > 1 else text


def _frame(
    dots: list[Dot], points: list[Point], front: list[str], scale: EnergyScale
) -> pd.DataFrame:
    """One row per finished run, then one row per arm with its means and intervals."""
    name = scale.column
    runs = [
        {"kind": "run", "arm": d.arm, "seed": d.seed, name: d.energy, "test_score": d.score}
        for d in dots
    ]
    means = [
        {
            "kind": "mean",
            "arm": point.arm,
            "level": split_level(point.arm)[1],
            name: point.energy.mean,
            f"{name}_low": point.energy.low,
            f"{name}_high": point.energy.high,
            f"{name}_n": point.energy.n,
            "test_score": point.score.mean,
            "test_score_low": point.score.low,
            "test_score_high": point.score.high,
            "test_score_n": point.score.n,
            "on_front": point.arm in front,
        }
        for point in points
    ]
    columns = f"kind arm level seed {name} {name}_low {name}_high {name}_n test_score "
    columns += "test_score_low test_score_high test_score_n on_front"
    frame = pd.DataFrame([*runs, *means], columns=columns.split())
    counts = dict.fromkeys(("seed", f"{name}_n", "test_score_n"), "Int64")
    return frame.astype({**counts, "on_front": "boolean"})


FRONT = "Pareto front"
TIPS = 200
"""Up to this many runs, each has a tip."""
CROWD = 12
"""From this many arms on, the figure is taller."""
_GUIDE: dict[str, Any] = {"color": style.MUTED, "lw": 0.8, "ls": (0, (1, 3)), "zorder": 1}
_BAND: dict[str, Any] = {"color": style.BASELINE_COLOUR, "alpha": 0.12, "lw": 0, "zorder": 0.5}
_FRONT: dict[str, Any] = {"color": style.INK, "lw": 1.1, "zorder": 1.5}
_OPEN: dict[str, Any] = {"color": "#8c8c8c", "lw": 0.9, "ls": (0, (4, 2)), "zorder": 1.5}
"""Where intervals leave open who is on the front."""


class Scatter:
    """Draws, within the figures' settings.

    Args:
        results: The study.
        dots: Its finished runs, in the units of `scale` and the metric.
        points: The means of its arms, likewise.
        front: The arms on the Pareto front, by ascending energy.
        scale: What energies are.

    Attributes:
        figure: The drawing.
        plane: What is in it, in the units of its axes.
        marks: Which of its parts belong to which arm.
    """

    def __init__(
        self,
        results: StudyResults,
        dots: Sequence[Dot],
        points: Sequence[Point],
        front: Sequence[str],
        scale: EnergyScale,
    ) -> None:
        unit = scale.unit([*(d.energy for d in dots), *(p.energy.mean for p in points)])
        self.marks = Marks(results.arms)
        self.plane = Plane.of(dots, points, results.metric, unit.size)
        self._results, self._scale = results, scale
        self._shown = Shown(results.metric)
        self._standing = standing_of(results.finished)
        self._styles = style.arm_styles(results.arms, results.baseline_arm)
        self._places = {point.arm: point.place for point in self.plane.points}
        self._groups = arm_groups(self._places)
        height = 4.1 if len(points) < CROWD else 4.7
        self.figure = Figure(figsize=(style.width_in(), height), layout="constrained")
        self._axes = self.figure.subplots()
        style.set_title(self._axes, f"{self._shown.title} reached and energy spent")
        marked = "log scale" if self.plane.log and not scale.relative_to else unit.symbol
        self._axes.set_xlabel(f"{self._standing.axis} of the whole recipe ({marked})")
        self._axes.set_ylabel(self._shown.axis("Test"))
        self._axes.set_xscale("log" if self.plane.log else "linear")
        style.watermark(self.figure, self._standing)
        self._draw_dots(dots)
        self._draw_groups()
        for shown, point in zip(self.plane.points, points, strict=True):
            self._draw_mean(shown, point.tip(self._shown, scale))
        self._draw_band()
        self.plane.set_limits(self._axes, scale)
        self._front = self._draw_front(front)
        labels.freeze(self.figure)
        self._name()

    def _draw_dots(self, dots: Sequence[Dot]) -> None:
        alone = len(dots) <= TIPS
        for arm in self._places:
            look = self._styles[arm]
            pairs = [p for p in zip(self.plane.dots, dots, strict=True) if p[0].arm == arm]
            for group in [[pair] for pair in pairs] if alone else [pairs]:
                (drawn,) = self._axes.plot(
                    [shown.energy for shown, _ in group],
                    [shown.score for shown, _ in group],
                    look.marker,
                    color=look.faint,
                    ms=3.2,
                    mew=0,
                )
                self.marks.add(
                    drawn, arm, group[0][1].tip(self._shown, self._scale) if alone else ""
                )

    def _draw_groups(self) -> None:
        for group in self._groups:
            for start, end in pairwise(group.arms):
                x, y = zip(self._places[start], self._places[end], strict=True)
                (drawn,) = self._axes.plot(x, y, color=self._styles[end].colour, lw=0.9)
                self.marks.add(drawn, end)

    def _draw_mean(self, point: Point, tip: str) -> None:
        look = self._styles[point.arm]
        for ends in self.plane.bars(point):
            (drawn,) = self._axes.plot(*zip(*ends, strict=True), color=look.colour, lw=1.2)
            self.marks.add(drawn, point.arm)
        mark = _handle(look, self._standing)
        mark.set_data([point.energy.mean], [point.score.mean])
        mark.set(markersize=8, zorder=3)
        self._axes.add_line(mark)
        self.marks.add(mark, point.arm, tip)

    @property
    def _baseline(self) -> Place | None:
        return self._places.get(self._results.baseline_arm or "")

    def _draw_band(self) -> None:
        """The baseline's mean as two guides, and the accepted loss on the worse side of it."""
        if self._baseline is not None:
            x, y = self._baseline
            self._axes.axhline(y, **_GUIDE)
            self._axes.axvline(x, **_GUIDE)
            self._axes.axhspan(*sorted((y, self._limit(y))), **_BAND)

    def _limit(self, base: float) -> float:
        """The worst score within the margin of the baseline's, both as they are shown."""
        return base - self._results.metric.sign * self._results.margin

    def _draw_front(self, front: Sequence[str]) -> list[Place]:
        """The stepped line, if there is more than one arm; its corners."""
        if len(self._places) < 2:
            return []
        right = self._axes.get_xlim()[1]
        corners = steps([self._places[arm] for arm in front], right)
        named = {point.arm: point for point in self.plane.points}
        for number, arm in enumerate(front):
            # The tread of an arm, and the riser that leads up to it.
            own = corners[max(2 * number - 1, 0) : 2 * number + 2]
            sure = is_sure(named[arm], self.plane.points, self._results.metric.sign)
            self._axes.plot(*zip(*own, strict=True), **(_FRONT if sure else _OPEN))
        return corners

    def _name(self) -> None:
        """Names beside the points where there is room, in a legend where there is not."""
        known = self._groups, self._places, self._styles
        # A name on a guide line is still better than a legend.
        for obstacles in (self._obstacles() + self._lines(), self._obstacles()):
            written = naming.name_groups(self._axes, *known, obstacles)
            if written is not None:
                break
        else:
            self._add_legend()
            obstacles = self._obstacles() + self._lines()
            written = naming.name_levels(self._axes, *known, obstacles)
        for text, arm in written:
            self.marks.add(text, arm)
        if not self.figure.legends:
            self._explain()

    def _add_legend(self) -> None:
        entries = [(_handle(self._styles[f.arms[0]], self._standing), f) for f in self._groups]
        handles: list[Line2D | Patch] = [handle for handle, _ in entries]
        names = [group.title for _, group in entries]
        if self._front:
            handles.append(Line2D([], [], **_FRONT))
            names.append(f"{FRONT} (dashed: undecided)")
        if self._baseline is not None:
            handles.append(Patch(**_BAND))
            names.append(margin_text(self._results))
        labels.legend_below(self.figure, handles, names)
        legend = self.figure.legends[-1]
        texts = legend.get_texts()
        for group, handle, text in zip(self._groups, legend.legend_handles, texts, strict=False):
            # An entry that stands for several arms stays when one of them is hidden.
            if handle is not None and not group.levels:
                self.marks.add(handle, group.arms[0])
                self.marks.add(text, group.arms[0])

    def _explain(self) -> None:
        """What the band and the front are, written at them where there is room."""
        renderer = labels.renderer_of(self._axes)
        taken = self._obstacles() + self._lines()
        taken += [text.get_window_extent(renderer) for text in self._axes.texts]
        ink = to_rgb(style.MUTED)
        if self._baseline is not None:
            low = self._limit(self._baseline[1])
            left, right = self._axes.get_xlim()
            below = [(left, low), (right, low), *self._along((left, low), (right, low), 9)]
            for width in (60, 18):
                text = labels.wrapped(margin_text(self._results), width)
                if naming.write(self._axes, text, below, ink, taken):
                    break
        treads = list(pairwise(self._front))[::2]
        middles = [self._along(start, end, 1)[0] for start, end in reversed(treads)]
        naming.write(self._axes, FRONT, middles, ink, taken)

    def _obstacles(self) -> list[Bbox]:
        """What a name must not cover, as boxes in display coordinates."""
        dots = [(dot.energy, dot.score) for dot in self.plane.dots]
        boxes = naming.around(self._axes.transData.transform(dots), 3) if dots else []
        for point in self.plane.points:
            boxes.append(self._box(point.place, point.place, 6))
            boxes += [self._box(*ends, 1) for ends in self.plane.bars(point)]
        return boxes

    def _lines(self) -> list[Bbox]:
        """What a name had better not cover: guides and steps, and lines between groups."""
        (left, right), (bottom, top) = self._axes.get_xlim(), self._axes.get_ylim()
        boxes = [self._box(start, end, 1) for start, end in pairwise(self._front)]
        for group in self._groups:
            for ends in pairwise(self._places[arm] for arm in group.arms):
                along = self._along(*ends, 24)
                boxes += naming.around(self._axes.transData.transform(along), 3)
        if self._baseline is not None:
            x, y = self._baseline
            boxes += [self._box((left, y), (right, y), 1), self._box((x, bottom), (x, top), 1)]
        return boxes

    def _along(self, start: Place, end: Place, count: int) -> list[Place]:
        """This many places between two, evenly spaced on paper."""
        transform = self._axes.transData
        first, last = transform.transform([start, end])
        between = np.linspace(first, last, count + 2)[1:-1]
        return [(float(x), float(y)) for x, y in transform.inverted().transform(between)]

    def _box(self, low: Place, high: Place, pad: float) -> Bbox:
        """The display box between two points in data coordinates, `pad` pixels wider."""
        corners = self._axes.transData.transform([low, high])
        return Bbox.from_extents(*corners[0], *corners[1]).padded(pad)


def margin_text(results: StudyResults) -> str:
    """What the shaded band is."""
    return f"within {Shown(results.metric).size(results.margin)} of {results.baseline_arm}"


def _handle(look: style.ArmStyle, standing: EnergyKinds) -> Line2D:
    """An arm's mark, without a place yet: hollow unless a sensor measured every energy."""
    face, edge, width = look.colour, "white", 0.8
    if not standing.measured:
        face, edge, width = "white", look.colour, 1.7
    mark = Line2D([], [], linestyle="", marker=look.marker, markersize=6.5)
    mark.set(markerfacecolor=face, markeredgecolor=edge, markeredgewidth=width)
    return mark
