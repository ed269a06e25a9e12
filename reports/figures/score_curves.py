"""Score curves: validation score against the energy spent so far.

All arms share one plane, or each group of levels has a panel with the baseline in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.settings.metric import ACCURACY, Metric
from reports.figures.figure_result import Figured
from reports.plotting import labels, naming, style
from reports.plotting.score_energy_axes import mark_magnitudes, spans_magnitudes
from reports.plotting.svg_ids import Marks
from reports.statistics.arm_groups import arm_groups
from reports.statistics.energy_kind import standing_of
from reports.statistics.targets import (
    Curves,
    TargetReached,
    energy_to_targets,
    mean_curve,
    reference_score,
    run_curves,
    shares_of,
    thinned,
)
from reports.text import captions
from reports.text.phrases import listed, reached, whose_score
from reports.text.scores import Shown
from reports.text.units import energy, energy_unit, fixed, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

    from reports.data import StudyResults
    from reports.statistics.arm_groups import ArmGroup
    from reports.statistics.targets import Array


NAME = "score_curves"
SEEDS, RUNS = 12, 120
"""Up to this many seeds per arm, and this many runs in all, each run is drawn."""
_IN_ALT = 1
"""Which of the targets the alternative text names."""
_CROWD = 12
"""From this many arms on, it names only a few."""


def draw(results: StudyResults) -> Figured | None:
    """Each arm's mean with its band, and every seed faint where they are few."""
    curves = run_curves(results)
    if not curves:
        return None
    means = {arm: mean_curve(runs, results.metric) for arm, runs in curves.items()}
    counts = [len(runs) for runs in curves.values()]
    few = max(counts) <= SEEDS and sum(counts) <= RUNS
    single = curves if few else {}
    reference = reference_score(results)
    found = energy_to_targets(results)
    worst, shown = _worst(curves, reference, results.metric), Shown(results.metric)
    with style.printed():
        plot = Climb(
            results,
            single,
            means,
            reference=reference,
            worst=worst,
            tips={arm: _tip(arm, mean, found, shown) for arm, mean in means.items()},
        )
    return Figured(
        plot.figure,
        _frame(single, means),
        _caption(results, plot, worst, few=few),
        _alt(results, means, found),
        plot.marks,
        brief=_brief(results),
        basis=captions.basis(results),
    )


def _worst(curves: Curves, reference: float, metric: Metric) -> float:
    """Where the axis of the score ends on its worse side: the first evaluations may be beyond."""
    sign, per_step = metric.sign, metric.factor / (4 * (metric.margin or ACCURACY.margin))
    finals = [sign * run.score[-1] for runs in curves.values() for run in runs.values()]
    every = np.concatenate([run.score for runs in curves.values() for run in runs.values()])
    best = float(max(finals))
    room = max(1 / per_step, 1.5 * (best - min(*finals, float(np.quantile(sign * every, 0.1)))))
    worst: float = best - room
    if not math.isnan(reference):
        worst = min(worst, sign * shares_of(metric)[0] * reference - 0.5 / per_step)
    end = sign * math.floor(worst * per_step) / per_step
    return min(max(end, metric.lowest), metric.highest)


def _frame(single: Curves, means: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per step of each run that is drawn, then one row per step of each mean."""
    parts = [
        pd.DataFrame(
            {
                "kind": "run",
                "arm": arm,
                "seed": seed,
                "energy_j": run.energy_j,
                "val_score": run.score,
                "final_shape": np.arange(len(run)) >= run.shaped,
            }
        )
        for arm, runs in single.items()
        for seed, run in runs.items()
    ]
    parts += [mean.assign(kind="mean", arm=arm) for arm, mean in means.items()]
    columns = "kind arm seed n energy_j val_score val_score_low val_score_high final_shape"
    frame = pd.concat(parts).reindex(columns=columns.split()).reset_index(drop=True)
    return frame.astype({"seed": "Int64", "n": "Int64"})


def _tip(arm: str, mean: pd.DataFrame, found: list[TargetReached], shown: Shown) -> str:
    end = mean.iloc[-1]
    text = f"{arm}, mean of {int(end['n'])}: {shown.text(float(end['val_score']))} "
    text += f"after {energy(float(end['energy_j']))}"
    targets = [f"{percent(each.share)} %: {reached(each)}" for each in found if each.arm == arm]
    return f"{text}. Energy to {', to '.join(targets)}" if targets else text


def _caption(results: StudyResults, plot: Climb, worst: float, *, few: bool) -> str:
    metric, shown = results.metric, Shown(results.metric)
    text = (
        f"Validation {shown.name} of the current network, not its best so far, against all "
        "energy spent since the run began. Thin: before the network has its final shape, when it "
        "is not yet the one that the method delivers; bold: from its last pruning or masking on. "
        "Lines are means over seeds, evaluation by evaluation, with their bands, to the arm's "
        "mark at the end."
    )
    parts = [text]
    parts.append("Faint: each run." if few else "Runs are too many to be drawn one by one.")
    if any(group.levels for group in arm_groups(results.finished_arms)):
        parts.append("Of arms that differ only in the share they prune, the darker prunes more.")
    if len(plot.panels) > 1:
        parts.append("The panels have the same axes and show the baseline's mean each.")
    if not math.isnan(reference_score(results)):
        parts.append(
            f"Dashed: {listed(map(percent, shares_of(metric)))} % of the {shown.name} "
            f"{whose_score(results)}; in the table only bold lines can reach it."
        )
    if metric.lowest < worst < metric.highest:
        side = "starts" if metric.higher_is_better else "ends"
        at = f"{fixed(worst * metric.factor, max(metric.decimals - 1, 0))} {metric.unit}".strip()
        parts.append(f"The {shown.name} axis {side} at {at}.")
    if not metric.higher_is_better:
        parts.append("Lower is better.")
    if plot.log:
        parts.append("The energy axis is logarithmic.")
    return " ".join(parts)


def _brief(results: StudyResults) -> str:
    text = (
        f"Validation {results.metric.name} of the current network against energy spent so far: "
        "means over seeds with 95 % bands. Bold: the network has its final shape."
    )
    return f"{text} {captions.short_basis(results)}"


def _alt(results: StudyResults, means: dict[str, pd.DataFrame], found: list[TargetReached]) -> str:
    """The end of each arm; of many, only the baseline and the first at a target."""
    adjective = standing_of(results.finished).adjective
    shown, share = Shown(results.metric), shares_of(results.metric)[_IN_ALT]
    text = f"Curves of validation {shown.name} against {adjective} energy so far."
    at = {each.arm: each for each in found if each.share == share and each.energy_j.n}
    arms = list(means)
    if len(arms) > _CROWD:
        first = min(at, key=lambda arm: at[arm].energy_j.mean, default=None)
        arms = [arm for arm in arms if arm in (results.baseline_arm, first)]
    for arm in arms:
        end = means[arm].iloc[-1]
        text += f" {arm} ends at {shown.text(float(end['val_score']))}"
        text += f" after {energy(float(end['energy_j']))}"
        if arm in at:
            text += f" ({percent(share)} % of {results.baseline_arm} at {reached(at[arm])})"
        text += "."
    return text


VERTICES = 4000
"""Of all means with their bands, and again of all single runs: an SVG writes each one out."""
TOGETHER = 6
"""More arms than this are drawn in panels, one a group, with the baseline in each."""
_COLUMNS = 3
_ROOM = 0.15
"""For names, beside the last end of a line, as a share of the axis."""
_STEP = 6.0
"""Pixels from one box on a line to the next."""
_TARGET: dict[str, Any] = {"color": style.MUTED, "lw": 0.7, "ls": (0, (5, 3)), "alpha": 0.8}


class Climb:
    """Draws, within the figures' settings.

    Args:
        results: The study.
        single: The runs to draw one by one.
        means: Each arm's mean curve, as `mean_curve` returns it; at least one.
        reference: The score whose shares are marked; NaN if there is none.
        worst: Where the axis of the score ends on its worse side.
        tips: The tip of each arm's mean.

    Attributes:
        figure: The drawing.
        panels: The axes, and the arms in each.
        log: Whether the energy axis is logarithmic.
        marks: Which of its parts belong to which arm.
    """

    def __init__(
        self,
        results: StudyResults,
        single: Curves,
        means: Mapping[str, pd.DataFrame],
        *,
        reference: float,
        worst: float,
        tips: Mapping[str, str],
    ) -> None:
        ends_j = [float(mean["energy_j"].iloc[-1]) for mean in means.values()]
        self._unit = energy_unit(ends_j)
        self.log = spans_magnitudes(ends_j)
        self.marks = Marks(results.arms)
        self._single, self._means, self._tips = single, means, tips
        self._baseline = results.baseline_arm
        self._metric, self._shown = results.metric, Shown(results.metric)
        shares = () if math.isnan(reference) else shares_of(results.metric)
        self._levels = {share: share * reference for share in shares}
        self._standing = standing_of(results.finished)
        self._styles = style.arm_styles(results.arms, results.baseline_arm)
        self._groups = arm_groups(means)
        self._size = 1.0 if self.log else self._unit.size
        self._drawn: dict[Axes, list[Array]] = {}
        others = [group for group in self._groups if group.arms[0] != self._baseline]
        crowded = len(means) > TOGETHER and len(others) > 1
        self.panels = self._apart(others) if crowded else self._together()
        self._points = VERTICES // (3 * len(means) + len(self.panels))
        style.watermark(self.figure, self._standing)
        for axes, arms in self.panels.items():
            self._draw(axes, arms)
        self._set_limits(worst)
        labels.freeze(self.figure)
        if crowded:
            self._name_panels()
        else:
            self._name()

    def _together(self) -> dict[Axes, list[str]]:
        self.figure = Figure(figsize=(style.width_in(), 4.1), layout="constrained")
        axes = self.figure.subplots()
        style.set_title(axes, f"{self._shown.title} as energy is spent")
        axes.set_xlabel(self._energy_name)
        axes.set_ylabel(self._shown.axis("Validation"))
        return {axes: list(self._means)}

    def _apart(self, others: Sequence[ArmGroup]) -> dict[Axes, list[str]]:
        """A panel per group of arms, with the baseline in each."""
        base = [arm for arm in self._means if arm == self._baseline]
        columns = style.fitting_columns(min(_COLUMNS, len(others)))
        rows = math.ceil(len(others) / columns)
        titles = [labels.wrapped(group.title, 28) for group in others]
        lines = [title.count("\n") for title in titles]
        titles_in = sum(0.13 * max(lines[n : n + columns]) for n in range(0, len(lines), columns))
        size = (style.width_in(), 0.9 + 1.5 * rows + titles_in)
        self.figure = Figure(figsize=size, layout="constrained")
        grid = self.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        style.set_title(self.figure, f"{self._shown.title} as energy is spent")
        self.figure.supylabel(self._shown.axis("Validation"), fontsize=9, color=style.INK)
        panels = {}
        for axes, group, name in zip(grid, others, titles, strict=False):
            ink = self._styles[group.arms[0]].ink
            title = axes.set_title(name, fontsize=8, color=ink, linespacing=1.1, pad=4)
            if not group.levels:
                self.marks.add(title, group.arms[0])
            panels[axes] = [*base, *group.arms]
        for axes in grid[len(others) :]:
            axes.remove()
        for axes in grid[len(others) - columns : len(others)]:
            axes.tick_params(labelbottom=True)
        grid[columns * (rows - 1)].set_xlabel(self._energy_name, loc="left")
        return panels

    @property
    def _energy_name(self) -> str:
        scale = "log scale" if self.log else self._unit.symbol
        return f"{self._standing.axis} spent so far ({scale})"

    def _draw(self, axes: Axes, arms: Sequence[str]) -> None:
        axes.set_xscale("log" if self.log else "linear")
        for level in self._levels.values():
            axes.axhline(level * self._metric.factor, **_TARGET)
        self._drawn[axes] = []
        for arm in arms:
            # In panels the baseline's runs and band would hide the group's, time and again.
            whole = len(self.panels) == 1 or arm != self._baseline
            if whole:
                self._draw_runs(axes, arm)
            self._draw_mean(axes, arm, banded=whole)

    def _draw_runs(self, axes: Axes, arm: str) -> None:
        count = VERTICES // max(sum(map(len, self._single.values())), 1)
        for seed, run in self._single.get(arm, {}).items():
            kept = thinned(run.score, count)
            x, y = run.energy_j[kept] / self._size, run.score[kept] * self._metric.factor
            (drawn,) = axes.plot(x, y, color=self._styles[arm].faint, lw=0.4, zorder=1.5)
            text = f"{self._shown.text(float(run.score[-1]))} at {energy(float(run.energy_j[-1]))}"
            self.marks.add(drawn, arm, f"{arm}, seed {seed}: {text}")
            self._drawn[axes].append(np.column_stack([x, y]))

    def _draw_mean(self, axes: Axes, arm: str, *, banded: bool) -> None:
        """The mean's line and its band, bold in its final shape, with the arm's mark at its end."""
        look, mean = self._styles[arm], self._means[arm]
        kept = thinned(mean["val_score"].to_numpy(), self._points)
        shaped = int((~mean["final_shape"]).sum())
        kept = np.union1d(kept, min(shaped, len(mean) - 1))
        shown = mean.iloc[kept]
        x = shown["energy_j"].to_numpy() / self._size
        y, low, high = (
            shown[column].to_numpy() * self._metric.factor
            for column in ("val_score", "val_score_low", "val_score_high")
        )
        turn = int(np.searchsorted(kept, shaped))
        for part, width, alpha in (
            (slice(0, turn + 1), 0.8, 0.07),
            (slice(turn, None), 1.8, 0.14),
        ):
            if len(x[part]) > 1:
                (line,) = axes.plot(x[part], y[part], color=look.shaded, ls=look.line, lw=width)
                self.marks.add(line, arm)
            if banded and len(x[part]) > 1:
                band = axes.fill_between(
                    x[part], low[part], high[part], color=look.shaded, alpha=alpha, lw=0
                )
                self.marks.add(band, arm)
        face = look.shaded if self._standing.measured else "white"
        (end,) = axes.plot(x[-1], y[-1], look.marker, mfc=face, mec=look.shaded, mew=1.4)
        end.set(zorder=3, clip_on=False, markersize=6 if len(self.panels) == 1 else 4.5)
        self.marks.add(end, arm, self._tips[arm])
        self._drawn[axes].append(np.column_stack([x, y]))

    def _set_limits(self, worst: float) -> None:
        """The same for all panels, which share their axes."""
        axes = next(iter(self.panels))
        sign, factor = self._metric.sign, self._metric.factor
        drawn = [points[:, 1] for panel in self._drawn.values() for points in panel]
        best = sign * max(float((sign * scores).max()) for scores in drawn)
        best += 0.09 * (best - worst * factor)
        within = (self._metric.lowest * factor, best, self._metric.highest * factor)
        axes.set_ylim(*sorted((worst * factor, sorted(within)[1])))
        spent = np.concatenate([points[:, 0] for drawn in self._drawn.values() for points in drawn])
        last = float(spent.max())
        if self.log:
            axes.set_xlim(right=last * (last / float(spent[spent > 0].min())) ** _ROOM)
            mark_magnitudes(axes)
        else:
            axes.set_xlim(0, last * (1 + _ROOM) or 1)

    def _name(self) -> None:
        """Names at the ends of the lines where there is room, in a legend where there is not."""
        axes = next(iter(self.panels))
        obstacles = self._obstacles(axes)
        ends = self._ends()
        written = naming.name_groups(axes, self._groups, ends, self._styles, obstacles)
        for text, arm in written or ():
            self.marks.add(text, arm)
        if written is None:
            self._name_in_legend()
            return
        renderer = labels.renderer_of(axes)
        taken = obstacles + [text.get_window_extent(renderer) for text, _ in written]
        ink = to_rgb(style.MUTED)
        for share, level in self._levels.items():
            sides = [(x, level * self._metric.factor) for x in axes.get_xlim()[::-1]]
            naming.write(axes, f"{percent(share)} % of {self._baseline}", sides, ink, taken)

    def _name_in_legend(self) -> None:
        self._add_legend(
            {
                arm: f"{group.name}, {group.short(arm)}" if group.levels else arm
                for group in self._groups
                for arm in group.arms
            }
        )

    def _name_panels(self) -> None:
        """A legend for what all panels share, and the levels at the ends of the lines."""
        base = [arm for arm in self._means if arm == self._baseline]
        self._add_legend({arm: f"{arm}, in every panel" for arm in base})
        for axes, arms in self.panels.items():
            own = [arm for arm in arms if arm != self._baseline]
            taken = self._obstacles(axes)
            written = naming.name_levels(axes, arm_groups(own), self._ends(), self._styles, taken)
            for text, arm in written:
                # One of several ends that coincide could be any of them.
                if len(written) < len(own):
                    text.remove()
                else:
                    self.marks.add(text, arm)

    def _add_legend(self, names: Mapping[str, str]) -> None:
        """A legend of some arms by what they are called there, and of the targets."""
        handles, texts = [self._handle(arm) for arm in names], list(names.values())
        if self._levels:
            handles.append(Line2D([], [], **_TARGET))
            texts.append(f"{listed(map(percent, self._levels))} % of {self._baseline}")
        if not handles:
            return
        labels.legend_below(self.figure, handles, texts)
        legend = self.figure.legends[-1]
        drawn = zip(legend.legend_handles, legend.get_texts(), strict=True)
        for arm, (handle, text) in zip(names, drawn, strict=False):
            self.marks.add(text, arm)
            if handle is not None:
                self.marks.add(handle, arm)

    def _handle(self, arm: str) -> Line2D:
        look = self._styles[arm]
        handle = Line2D([], [], color=look.shaded, ls=look.line, marker=look.marker, ms=5)
        if not self._standing.measured:
            handle.set_markerfacecolor("white")
        return handle

    def _ends(self) -> dict[str, tuple[float, float]]:
        """Where each arm's mean ends, in the units of the axes."""
        factor = self._metric.factor
        last = {arm: mean.iloc[-1] for arm, mean in self._means.items()}
        return {
            arm: (float(end["energy_j"]) / self._size, float(end["val_score"]) * factor)
            for arm, end in last.items()
        }

    def _obstacles(self, axes: Axes) -> list[Bbox]:
        """Every line as a row of small boxes in display coordinates."""
        lines = [axes.transData.transform(points) for points in self._drawn[axes]]
        return naming.around(np.concatenate([naming.along(line, _STEP) for line in lines]), 3)
