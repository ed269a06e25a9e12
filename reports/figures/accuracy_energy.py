"""Where each recipe ends: test accuracy against the energy of all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from reports import captions, labels, style
from reports.figures.figured import Figured
from reports.standing import Standing, standing_of
from reports.statistics import Interval, t_interval
from reports.units import energy, energy_unit, fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reports.data import StudyResults

NAME = "accuracy_energy"


@dataclass(frozen=True)
class Point:
    """An arm's mean: energy in joules (or the axis's unit) and accuracy (a share, or %)."""

    arm: str
    energy: Interval
    accuracy: Interval


def draw(results: StudyResults) -> Figured:
    """Every finished run faint, and each arm's mean with its intervals on both axes."""
    points = [
        Point(
            arm,
            t_interval(results.by_seed(arm, "energy_j").values()),
            t_interval(results.by_seed(arm, "test_accuracy").values()),
        )
        for arm in results.finished_arms
    ]
    points = [point for point in points if point.energy.n and point.accuracy.n]
    with style.printed():
        figure = _draw(results, points)
    caption = (
        "Test accuracy against the energy of the whole recipe, search, evaluation and lost "
        "attempts included. Large marks are means, small ones single runs. "
        "The accuracy axis does not start at zero. "
        f"{captions.seeds(results)} {captions.provenance(results)}"
    )
    alt = f"Scatter of test accuracy against {standing_of(results.finished).adjective} energy. "
    alt += " ".join(
        f"{p.arm}: {fixed(p.accuracy.mean * 100, 1)} % at {energy(p.energy.mean)}." for p in points
    )
    return Figured(figure, _frame(results, points), caption, alt)


def _frame(results: StudyResults, points: list[Point]) -> pd.DataFrame:
    """One row a finished run, then one row an arm with its means and intervals."""
    runs = results.finished[["arm", "seed", "energy_j", "test_accuracy"]].assign(kind="run")
    means = [
        {
            "kind": "mean",
            "arm": point.arm,
            "n": point.accuracy.n,
            "energy_j": point.energy.mean,
            "energy_j_low": point.energy.low,
            "energy_j_high": point.energy.high,
            "test_accuracy": point.accuracy.mean,
            "test_accuracy_low": point.accuracy.low,
            "test_accuracy_high": point.accuracy.high,
        }
        for point in points
    ]
    columns = "kind arm seed n energy_j energy_j_low energy_j_high test_accuracy "
    columns += "test_accuracy_low test_accuracy_high"
    frame = pd.DataFrame([*runs.to_dict("records"), *means], columns=columns.split())
    return frame.astype({"seed": "Int64", "n": "Int64"})


def _draw(results: StudyResults, points: list[Point]) -> Figure:
    standing = standing_of(results.finished)
    styles = style.arm_styles(results.arms, results.baseline_arm)
    runs = results.finished
    unit = energy_unit([*runs["energy_j"], *(point.energy.high for point in points)])
    shown = [Point(p.arm, p.energy.scaled(1 / unit.size), p.accuracy.scaled(100)) for p in points]
    dots = [
        (str(arm), float(joules) / unit.size, float(accuracy) * 100)
        for arm, joules, accuracy in zip(
            runs["arm"], runs["energy_j"], runs["test_accuracy"], strict=True
        )
        if math.isfinite(joules) and math.isfinite(accuracy)
    ]
    figure = Figure(figsize=(style.WIDTH_IN, 4.1), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Accuracy reached and energy spent")
    axes.set_xlabel(f"{standing.axis} of the whole recipe ({unit.symbol})")
    axes.set_ylabel("Test accuracy (%)")
    style.watermark(figure, standing)
    for arm, x, y in dots:
        look = styles[arm]
        axes.plot(x, y, look.marker, color=look.colour, ms=3.5, mew=0, alpha=0.45)
    for point in shown:
        _draw_mean(axes, point, styles[point.arm], standing)
        if point.arm == results.baseline_arm:
            axes.axhline(point.accuracy.mean, color=style.MUTED, lw=0.8, ls=(0, (1, 3)), zorder=1)
            axes.axvline(point.energy.mean, color=style.MUTED, lw=0.8, ls=(0, (1, 3)), zorder=1)
    axes.margins(x=0.08, y=0.12)
    axes.autoscale_view()
    axes.set_xlim(left=0)
    limits = axes.get_ylim()
    # An interval may pass 100 %, an accuracy cannot.
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 100], minor=False)
    axes.set_ylim(*limits)
    labels.freeze(figure)
    anchors = [
        labels.Anchor(labels.wrapped(p.arm, 28), p.energy.mean, p.accuracy.mean, styles[p.arm].ink)
        for p in shown
    ]
    marks = _obstacles(axes, [(x, y) for _, x, y in dots], shown)
    guides = _guides(axes, shown, results.baseline_arm)
    # A name on a guide line is still better than a legend.
    if not (labels.place(axes, anchors, marks + guides) or labels.place(axes, anchors, marks)):
        handles = [_handle(styles[p.arm], standing) for p in shown]
        labels.legend_below(figure, handles, [p.arm for p in shown])
    return figure


def _draw_mean(axes: Axes, point: Point, look: style.ArmStyle, standing: Standing) -> None:
    """A mean with its intervals, where there are any."""
    x, y = point.energy, point.accuracy
    if x.bounded:
        axes.plot([x.low, x.high], [y.mean] * 2, color=look.colour, lw=1.2)
    if y.bounded:
        axes.plot([x.mean] * 2, [y.low, y.high], color=look.colour, lw=1.2)
    mark = _handle(look, standing)
    mark.set_data([x.mean], [y.mean])
    mark.set(markersize=8, zorder=3)
    axes.add_line(mark)


def _handle(look: style.ArmStyle, standing: Standing) -> Line2D:
    """An arm's mark, without a place yet: hollow unless a sensor measured every energy."""
    face, edge, width = look.colour, "white", 0.8
    if not standing.measured:
        face, edge, width = "white", look.colour, 1.7
    mark = Line2D([], [], linestyle="", marker=look.marker, markersize=6.5)
    mark.set(markerfacecolor=face, markeredgecolor=edge, markeredgewidth=width)
    return mark


def _guides(axes: Axes, points: list[Point], baseline: str | None) -> list[Bbox]:
    """The baseline's two guide lines, as boxes in display coordinates."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    boxes = []
    for point in points:
        if point.arm == baseline:
            x, y = point.energy.mean, point.accuracy.mean
            boxes += [_box(axes, (left, y), (right, y), 1), _box(axes, (x, bottom), (x, top), 1)]
    return boxes


def _obstacles(axes: Axes, dots: list[tuple[float, float]], points: list[Point]) -> list[Bbox]:
    """What a name must not cover, as boxes in display coordinates."""
    boxes = [_box(axes, dot, dot, 3) for dot in dots]
    for point in points:
        x, y = point.energy, point.accuracy
        boxes.append(_box(axes, (x.mean, y.mean), (x.mean, y.mean), 6))
        if x.bounded:
            boxes.append(_box(axes, (x.low, y.mean), (x.high, y.mean), 1))
        if y.bounded:
            boxes.append(_box(axes, (x.mean, y.low), (x.mean, y.high), 1))
    return boxes


def _box(axes: Axes, low: tuple[float, float], high: tuple[float, float], pad: float) -> Bbox:
    """The display box between two points in data coordinates, `pad` pixels wider."""
    corners = axes.transData.transform([low, high])
    return Bbox.from_extents(*corners[0], *corners[1]).padded(pad)
