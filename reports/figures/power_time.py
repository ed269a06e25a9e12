"""Power over time: one run per arm, with its phases, gaps, temperature and throttling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from harness.results.run_detail import BINS, GAP
from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.phase_colours import gathered, legend, phase_colours
from reports.plotting.svg_ids import Marks
from reports.statistics import power as thinning
from reports.statistics.energy_kind import standing_of
from reports.statistics.power import MAX_DEVICES, RunPower, run_powers
from reports.text import captions
from reports.text.captions import within
from reports.text.units import MISSING, Unit, duration, energy, fixed, time_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.typing import LineStyleType

    from reports.data import StudyResults


NAME = "power_time"
MAX_ARMS = 12
_LINES: tuple[LineStyleType, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_FINE, _COARSE, _PHASES = 350, 200, 280
"""Pieces of the time axis: for power, for the power of many arms, and for phases."""
_ROW_IN = {1: 2.0, 4: 1.0, 8: 0.7, MAX_ARMS: 0.42}
"""Height of a row, up to this many rows."""
_STRIP_IN, _TITLE_IN, _BETWEEN_IN = 0.22, 0.17, 0.03
_LETTERS = 64
"""Of an arm's name on a line; what its run drew stands beside it."""
_PAD_IN = 0.012
_VISIBLE = 0.01
"""A band is seen where it is at least this share of the axis high."""
_RED = "#d00000"
_PALE = 0.26
_GAP_LOOK: dict[str, Any] = {"fc": "white", "ec": _RED, "hatch": "xxxxx", "lw": 0.6}


def draw(results: StudyResults) -> Figured | None:
    """A row per arm, with the same axes in all; None where no run has a trace."""
    every = run_powers(results, gathered)
    if not every:
        return None
    runs = _chosen(every, results.baseline_arm)
    plot = _Plot(results, runs)
    tight = mpl.rc_context({"figure.constrained_layout.h_pad": _PAD_IN})
    with style.printed(), tight:
        plot.draw()
    caption = (
        "Power over time of one run per method, the one of median energy; its seed is above it. "
        "All rows have the same axes, so that areas compare: the area under the mean is the "
        f"energy of the run. {plot.explained} {_left_out(len(runs), len(every))}"
        f"A row is one run (of n = {_counts(results)} per method), so there is no interval; beside "
        "its energy is the uncertainty of the measurement (95 %)."
    )
    brief = (
        "Power over time of one run per method, that of median energy, on the same axes; the area "
        "under a line is the energy of the run. Pale bands: phases. "
        f"{captions.standing(results)}"
    )
    alt = "Power over time. " + " ".join(f"{_said(run)}." for run in runs)
    return Figured(
        *(plot.figure, _frame(runs, plot.bands), caption, alt, plot.marks),
        brief=brief,
        basis=captions.provenance(results),
    )


def _chosen(every: Sequence[RunPower], baseline: str | None) -> list[RunPower]:
    """All runs, or if they are too many the baseline's and those of least energy."""
    frugal = sorted(every, key=lambda run: (run.arm != baseline, run.energy_j))
    kept = {run.arm for run in frugal[:MAX_ARMS]}
    return [run for run in every if run.arm in kept]


def _left_out(shown: int, every: int) -> str:
    if shown == every:
        return ""
    return f"Of {every} arms {shown} are shown: the baseline and those of least energy. "


def _counts(results: StudyResults) -> str:
    counts = results.finished.groupby("arm")["seed"].nunique()
    return " to ".join(dict.fromkeys((str(counts.min()), str(counts.max()))))


def _said(run: RunPower) -> str:
    """A run in words, with its figures."""
    mean_w = run.energy_j / run.length_s
    text = f"{run.arm}, seed {run.seed}: {energy(run.energy_j)} in {duration(run.length_s)}"
    return f"{text}, {power(mean_w)} on average"


def _frame(runs: Sequence[RunPower], bands: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a bin of power, a band of a phase, or a state of a device."""
    parts = [
        part.assign(kind=kind, arm=run.arm, seed=run.seed)
        for run in runs
        for kind, part in (
            ("power", run.seen.power),
            ("phase", bands[run.arm]),
            ("state", run.seen.states),
        )
        if len(part)
    ]
    columns = "kind arm seed device phase start_s end_s low_w mean_w high_w coverage temperature_c "
    return pd.concat(parts).reindex(columns=f"{columns}throttled".split()).reset_index(drop=True)


def _says_something(states: pd.DataFrame) -> bool:
    """Whether a device reported its temperature or was throttled: else there is nothing to draw."""
    return bool(states["temperature_c"].notna().any() or (states["throttled"] == 1).any())


class _Plot:
    """Draws the figure, within the figures' settings.

    Attributes:
        figure: The drawing.
        marks: Which of its parts belong to which arm.
        bands: By arm, its phases as they are drawn.
    """

    def __init__(self, results: StudyResults, runs: Sequence[RunPower]) -> None:
        self._runs = runs
        self._standing = standing_of(results.finished)
        self._styles = style.arm_styles(results.arms, results.baseline_arm)
        self.marks = Marks(results.arms)
        longest_s = max(run.length_s for run in runs)
        self._time = time_unit([longest_s])
        self._end = longest_s / self._time.size
        width_s = longest_s / (_FINE if len(runs) <= 4 else _COARSE)
        self._lines = {}
        for run in runs:
            # All pieces of a run are of one width, so that none at its end is noise.
            own_s = run.length_s / max(round(run.length_s / width_s), 1)
            self._lines[run.arm] = {
                name: thinning.thinned(bins, own_s) for name, bins in run.lines.items()
            }
        bins = [each for lines in self._lines.values() for each in lines.values()]
        self._has_gap = any((each["coverage"] < GAP).any() for each in bins)
        self._unit = power_unit(max(each["high_w"].max() for each in bins))
        self._top = max(each["high_w"].max() for each in bins) / self._unit.size * 1.06 or 1.0
        least_w = _VISIBLE * self._top * self._unit.size
        self._has_band = any((each["high_w"] - each["low_w"] > least_w).any() for each in bins)
        self.bands = {
            run.arm: thinning.bands(run.seen.windows, longest_s / _PHASES, gathered) for run in runs
        }
        seen = [phase for bands in self.bands.values() for phase in bands["phase"]]
        # Colours of all the study's phases, so that they are those of the other figures.
        every = phase_colours([*results.of_finished(results.phases)["phase"].map(gathered), *seen])
        self._colours = {phase: colour for phase, colour in every.items() if phase in set(seen)}
        self._states = {
            run.arm: thinning.conditions(run.seen.states, width_s)
            for run in runs
            if _says_something(run.seen.states)
        }
        warmth = [each["temperature_c"] for each in self._states.values()]
        self._warmth_c = pd.concat(warmth).dropna() if warmth else pd.Series(dtype=float)
        self._throttled = any((each["throttled"] == 1).any() for each in self._states.values())
        row_in = next(height for most, height in _ROW_IN.items() if len(runs) <= most)
        self._heights = []
        for run in runs:
            self._heights += [row_in, *([_STRIP_IN] if run.arm in self._states else [])]
        lines = sum(labels.wrapped(run.arm, _LETTERS).count("\n") + 1 for run in runs)
        height_in = 0.7 + sum(self._heights) + _TITLE_IN * lines
        height_in += _BETWEEN_IN * len(self._heights) + 0.05 * len(runs)
        self.figure = Figure(figsize=(style.width_in(), height_in), layout="constrained")

    def draw(self) -> None:
        """Draw everything."""
        grid = self.figure.subplots(
            len(self._heights), 1, sharex=True, squeeze=False, height_ratios=self._heights
        )
        every = iter(grid.ravel().tolist())
        style.set_title(self.figure, "Power over time")
        self.figure.supylabel(f"{self._quantity} ({self._unit.symbol})", fontsize=9)
        style.watermark(self.figure, self._standing)
        for run in self._runs:
            axes = next(every)
            self._draw_phases(axes, run)
            for line, (device, bins) in zip(_LINES, self._lines[run.arm].items(), strict=False):
                self._draw_power(axes, run, device, bins, line)
            self._set_up(axes, run)
            if run.arm in self._states:
                axes = next(every)
                self._draw_states(axes, run)
        axes.set_xlabel(f"Time worked ({self._time.symbol})")
        axes.set_xlim(0, self._end)
        self._add_legend()

    @property
    def _quantity(self) -> str:
        return self._standing.axis.replace("Energy", "Power").replace("energy", "power")

    def _set_up(self, axes: Axes, run: RunPower) -> None:
        axes.set_ylim(0, self._top)
        axes.yaxis.set_major_locator(MaxNLocator(4 if len(self._runs) <= 4 else 2))
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0)
        for border_s in run.borders_s:
            line = axes.axvline(border_s / self._time.size, color=style.INK, lw=0.9, ls=(0, (3, 2)))
            self.marks.add(line, run.arm, f"{run.arm}: a new attempt began")
        drawn = f"seed {run.seed}: {energy(run.energy_j)}"
        if run.uncertainty_j >= run.energy_j > 0:
            drawn += f", within {within(run.uncertainty_j / run.energy_j)}"
        elif run.uncertainty_j > 0:
            drawn += f" ± {energy(run.uncertainty_j)}"
        name = labels.wrapped(run.arm, _LETTERS)
        title = axes.set_title(name, loc="left", fontsize=8.5, pad=3)
        self.marks.add(title, run.arm, _said(run))
        beside = axes.set_title(drawn, loc="right", fontsize=8.5, pad=3)
        self.marks.add(beside, run.arm)
        for each in (title, beside):
            each.set_color(self._styles[run.arm].ink)

    def _draw_phases(self, axes: Axes, run: RunPower) -> None:
        """A pale shape a phase, behind everything."""
        for phase, bands in self.bands[run.arm].groupby("phase", sort=False):
            start, end = (bands[name].to_numpy() / self._time.size for name in ("start_s", "end_s"))
            colour = self._colours[str(phase)]
            shape = spans(axes, start, end, fc=colour, alpha=_PALE, lw=0, zorder=0.5)
            tip = f"{run.arm}, {phase}"
            if phase in run.phases:
                joules, seconds = run.phases[str(phase)]
                tip += f": {energy(joules)} in {duration(seconds)}"
                tip += f", {power(joules / seconds)} on average" if seconds > 0 else ""
            self.marks.add(shape, run.arm, tip)

    def _draw_power(
        self, axes: Axes, run: RunPower, device: str, bins: pd.DataFrame, line: LineStyleType
    ) -> None:
        """Mean and band of a device; hatched below the mean where no sensor measured it."""
        colour = self._styles[run.arm].ink
        start, end = (bins[name].to_numpy() / self._time.size for name in ("start_s", "end_s"))
        low, mean, high = (
            bins[name].to_numpy() / self._unit.size for name in ("low_w", "mean_w", "high_w")
        )
        is_gap = bins["coverage"].to_numpy() < GAP
        x, low, mean, high = steps(start, end, low, mean, high)
        if (high - low > _VISIBLE * self._top).any():
            band = axes.fill_between(x, low, high, color=colour, alpha=0.3, lw=0, zorder=2)
            self.marks.add(band, run.arm)
        if not run.measured:
            look = {"ec": colour, "hatch": style.HATCH, "alpha": 0.3}
            hatch = under(axes, x, mean, fc="none", lw=0, zorder=1.5, **look)
            self.marks.add(hatch, run.arm)
        if is_gap.any():
            look = _GAP_LOOK if len(self._lines[run.arm]) == 1 else {**_GAP_LOOK, "fc": "none"}
            gap = spans(axes, start[is_gap], end[is_gap], **look, zorder=2.2)
            self.marks.add(gap, run.arm, f"{run.arm}: {device} was not observed")
        (drawn,) = axes.plot(x, mean, color=colour, lw=1.0, ls=line, zorder=2.5)
        tip = _said(run) if len(self._lines[run.arm]) == 1 else f"{run.arm}: {device}"
        self.marks.add(drawn, run.arm, tip)

    def _draw_states(self, axes: Axes, run: RunPower) -> None:
        """A thin strip: the warmest device's temperature, and red where one was throttled."""
        states = self._states[run.arm]
        start, end = (states[name].to_numpy() / self._time.size for name in ("start_s", "end_s"))
        is_throttled = states["throttled"].to_numpy() == 1
        if is_throttled.any():
            red = spans(axes, start[is_throttled], end[is_throttled], fc=_RED, alpha=0.8, lw=0)
            self.marks.add(red, run.arm, f"{run.arm}: throttled")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelsize=7)
        axes.set_yticks([])
        if len(self._warmth_c):
            x, warmth = steps(start, end, states["temperature_c"].to_numpy())
            (line,) = axes.plot(x, warmth, color=style.MUTED, lw=0.9)
            known = states["temperature_c"].dropna()
            tip = f"{run.arm}: {fixed(known.min(), 0)} to {fixed(known.max(), 0)} °C"
            self.marks.add(line, run.arm, tip if len(known) else "")
            low, high = np.floor(self._warmth_c.min()) - 1, np.ceil(self._warmth_c.max()) + 1
            axes.set_ylim(low, high)
            axes.set_yticks([low, high], [fixed(low, 0), f"{fixed(high, 0)} °C"])
            lower, upper = axes.get_yticklabels()
            lower.set_verticalalignment("bottom")
            upper.set_verticalalignment("top")

    def _add_legend(self) -> None:
        """Phases, then everything else that is there to be seen."""
        entries = legend(self._colours)
        handles: list[Line2D | Patch] = [
            Patch(fc=colour, alpha=_PALE + 0.1, lw=0) for colour in entries.values()
        ]
        texts = [*entries]
        for line, name in zip(_LINES, self._line_names, strict=False):
            handles.append(Line2D([], [], color=style.INK, lw=1.0, ls=line))
            texts.append(name)
        for there, handle, text in (
            (self._has_band, Patch(fc=style.INK, alpha=0.3, lw=0), "lowest to highest reading"),
            (self._has_gap, Patch(**_GAP_LOOK), "not observed"),
            (self._throttled, Patch(fc=_RED, alpha=0.8, lw=0), "throttled (below)"),
            (
                any(run.borders_s for run in self._runs),
                Line2D([], [], color=style.INK, lw=0.9, ls=(0, (3, 2))),
                "new attempt",
            ),
        ):
            if there:
                handles.append(handle)
                texts.append(text)
        labels.legend_below(self.figure, handles, texts)

    @property
    def _line_names(self) -> list[str]:
        """What each style of line stands for: a device, or the same place among other devices."""
        several = [list(lines) for lines in self._lines.values() if len(lines) > 1]
        if not several:
            return ["mean power"]
        names = []
        for place in range(max(map(len, several))):
            there = dict.fromkeys(each[place] for each in several if len(each) > place)
            names.append(", ".join(there) if len(there) <= 2 else f"device {place + 1}")
        return names

    @property
    def explained(self) -> str:
        """How to read the lines and bands, in words for the caption."""
        text = f"Line: mean power in at most {BINS:,} bins a device and attempt"
        text += ", fewer where print shows no more. "
        if self._has_band:
            text += "Band: extreme readings. "
        text += "Pale bands behind are phases; phases too short to draw are merged. "
        summed = [name for lines in self._lines.values() for name in lines if "sum of" in name]
        if summed:
            text += f"Of more than {MAX_DEVICES} devices the sum is shown, "
            text += "with a band over the means of its bins. "
        if self._has_gap:
            text += "Red: not observed, energy carried on at the power around. "
        if self._states:
            text += "Below: temperature of the warmest device, red while one is throttled. "
        if self._standing.simulated:
            text += "Hatched: the power of a stand-in device. "
        elif not self._standing.measured:
            text += "Hatched: an estimate, not a power sensor; a model's energy over time. "
        return text.strip()


Array = npt.NDArray[np.float64]


def spans(axes: Axes, start: Array, end: Array, **look: Any) -> PathPatch:
    """Bands from each start to each end as high as the axes, as one shape; touching ones merge."""
    apart = _apart(start, end)
    start, end = start[np.insert(apart, 0, True)], end[np.append(apart, True)]
    bottom, top = np.zeros(len(start)), np.ones(len(start))
    corners = np.stack(
        [
            np.stack([start, bottom], axis=1),
            np.stack([start, top], axis=1),
            np.stack([end, top], axis=1),
            np.stack([end, bottom], axis=1),
            np.stack([start, bottom], axis=1),
        ],
        axis=1,
    ).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(start)
    shape = PathPatch(Path(corners, codes), transform=axes.get_xaxis_transform(), **look)
    axes.add_patch(shape)
    return shape


def steps(start: Array, end: Array, *values: Array) -> tuple[Array, ...]:
    """The points of lines that are level from each start to each end, and broken at holes.

    Returns:
        Moments, then for each of `values` what it is at these; NaN breaks the line.
    """
    x, *lines = (np.repeat(each, 2) for each in (start, *values))
    x[1::2] = end
    holes = 2 * (np.flatnonzero(_apart(start, end)) + 1)
    return tuple(np.insert(each, holes, np.nan) for each in (x, *lines))


def under(axes: Axes, x: Array, y: Array, **look: Any) -> PathPatch:
    """The area between a line, which NaN breaks, and zero, as one shape."""
    corners, codes = [], []
    for part in np.split(np.arange(len(x)), np.flatnonzero(np.isnan(x))):
        points = [(x[n], y[n]) for n in part if not np.isnan(x[n])]
        corners += [(points[0][0], 0.0), *points, (points[-1][0], 0.0), (points[0][0], 0.0)]
        codes += [Path.MOVETO, *[Path.LINETO] * (len(points) + 1), Path.CLOSEPOLY]
    shape = PathPatch(Path(corners, codes), **look)
    axes.add_patch(shape)
    return shape


def _apart(start: Array, end: Array) -> npt.NDArray[np.bool_]:
    """Whether there is a hole after each stretch but the last."""
    apart: npt.NDArray[np.bool_] = start[1:] > end[:-1] + 1e-9 * (end[-1] - start[0])
    return apart


_UNITS = (Unit("MW", 1e6), Unit("kW", 1e3), Unit("W", 1.0), Unit("mW", 1e-3))


def power_unit(watts: float) -> Unit:
    """The unit for powers up to this one: kW and MW from ten of them on."""
    fits = (unit for unit in _UNITS if watts >= unit.size * (10 if unit.size > 1 else 1))
    return next(fits, _UNITS[-1])


def power(watts: float) -> str:
    """One power with its own unit."""
    unit = power_unit(watts)
    return f"{unit.show(watts)} {unit.symbol}" if math.isfinite(watts) else MISSING
