"""Each arm against the baseline, seed by seed: difference in score and ratio of energies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import as_multiple, set_ratio_axis
from reports.plotting.svg_ids import Marks
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.score_difference import score_difference
from reports.statistics.statistics import Interval
from reports.statistics.summary import summarise
from reports.text import captions
from reports.text.scores import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from harness.settings.metric import Metric
    from reports.data import StudyResults

NAME = "paired_differences"
_ROW_IN = 0.52
_TIPS = 150
"""Up to this many pairs, each is an artist of its own with a tip."""
_MEAN_AT, _SEEDS_FROM, _SEEDS_TO = -0.26, -0.08, 0.34
"""Places in a row, which reaches from -0.5 down to 0.5: of the mean, and of the seeds."""
_LETTERS = 22
"""Of an interval that is written beside its panel; a longer one is left to the table."""
_FARTHEST_TIMES = 20
"""An interval of differences without bounds is drawn up to this many times the largest of seeds."""
_FARTHEST = 1e3
"""An interval of ratios is drawn up to this many times beyond the seeds."""


@dataclass(frozen=True)
class _Compared:
    """One quantity of an arm against the baseline's: by seed, and on average."""

    by_seed: dict[int, float]
    mean: Interval
    worded: Callable[[float], str]
    shown: Callable[[float], str]

    @property
    def figures(self) -> str:
        """The mean and, where there is room, its interval below."""
        if not self.mean.n:
            return ""
        text = self.shown(self.mean.mean)
        within = f"{self.shown(self.mean.low)} … {self.shown(self.mean.high)}"
        has_room = style.width_in() > style.NARROW_IN and len(within) <= _LETTERS
        return f"{text}\n{within}" if self.mean.bounded and has_room else text

    @property
    def text(self) -> str:
        """The mean in words, with its interval if there is one."""
        text = self.worded(self.mean.mean)
        if self.mean.bounded:
            text += f" (95 % CI {self.worded(self.mean.low)} … {self.worded(self.mean.high)})"
        return text


@dataclass(frozen=True)
class _Paired:
    """An arm against the baseline: difference in test score, as shown, and ratio of energies."""

    arm: str
    score: _Compared
    energy: _Compared
    verdict: str

    @property
    def pairs(self) -> int:
        """How many seeds both have."""
        return len(self.score.by_seed.keys() | self.energy.by_seed.keys())

    @property
    def text(self) -> str:
        """Both in words, each with its number of pairs."""
        score, energy = self.score, self.energy
        return (
            f"{self.arm}: {score.text}, n = {score.mean.n}; "
            f"{energy.text} the energy, n = {energy.mean.n}."
        )


def draw(results: StudyResults) -> Figured | None:
    """Two panels that share a row per arm; None where no seed has a run of the baseline too."""
    baseline = results.baseline_arm
    if baseline is None:
        return None
    others = [arm for arm in results.finished_arms if arm != baseline]
    verdicts = {each.arm: each.verdict or "" for each in summarise(results).arms}
    compared = [_pair(results, arm, baseline, verdicts[arm]) for arm in others]
    paired = [each for each in compared if each.pairs]
    if not paired:
        return None
    shown, standing = Shown(results.metric), standing_of(results.finished)
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(paired, results, standing, marks)
    lone = ""
    if any(each.pairs == 1 for each in paired):
        lone = "Where there is one pair, its dot is all there is: no interval can be given. "
    unpaired = ", ".join(each.arm for each in compared if not each.pairs)
    if unpaired:
        lone += f"Without a seed that {baseline} finished too, and so not shown: {unpaired}. "
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    caption = (
        f"Each method against {baseline}, run against run of the same seed. Left: test "
        f"{shown.name} minus that of {baseline}; shaded: the accepted loss of "
        f"{shown.size_of_name(results.margin)}. "
        f"Right: energy of the whole recipe as a ratio to that of {baseline}. Small marks are "
        "seeds, each at the same height in both panels; large ones are the mean difference and the "
        "geometric mean of the ratios, with their intervals; an arrow: the interval continues. "
        "Verdicts are those of all methods together, and may rest on a wider interval than the one "
        f"drawn. {lone}{hollow}"
    )
    brief = (
        f"Each run against the run of {baseline} with the same seed: test {shown.name} (left; "
        f"shaded: accepted loss of {shown.size_of_name(results.margin)}) and relative energy "
        f"(right). Large marks: means with 95 % intervals. {captions.short_basis(results)}"
    )
    alt = (
        f"Test {shown.name} and {standing.adjective} energy against {baseline} by seed. "
        + " ".join(each.text for each in paired)
    )
    return Figured(
        *(figure, _frame(paired, results.metric), caption.strip(), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _pair(results: StudyResults, arm: str, baseline: str, verdict: str) -> _Paired:
    metric, shown = results.metric, Shown(results.metric)
    score, base_score, energy, base_energy = (
        results.by_seed(each, column)
        for column in ("test_score", "energy_j")
        for each in (arm, baseline)
    )
    differences = {
        seed: (score[seed] - base_score[seed]) * metric.factor
        for seed in sorted(score.keys() & base_score.keys())
    }
    ratios = {
        seed: energy[seed] / base_energy[seed]
        for seed in sorted(energy.keys() & base_energy.keys())
        if energy[seed] > 0 and base_energy[seed] > 0
    }
    tested = score_difference(results.tested(arm), results.tested(baseline))
    difference = tested.interval().scaled(metric.factor)
    known = {seed: value for seed, value in differences.items() if math.isfinite(value)}
    return _Paired(
        arm,
        _Compared(
            *(known, difference),
            lambda value: f"{shown.changes(value)} {metric.difference_unit}".rstrip(),
            shown.changes,
        ),
        _Compared(ratios, energy_ratio(results, arm, baseline), as_multiple, as_multiple),
        verdict,
    )


def _frame(paired: Sequence[_Paired], metric: Metric) -> pd.DataFrame:
    """One row per pair of runs, then one row per arm with its means and intervals."""
    own = 1 / metric.factor
    rows: list[dict[str, object]] = [
        {
            "kind": "seed",
            "arm": each.arm,
            "seed": seed,
            "score_difference": each.score.by_seed.get(seed, math.nan) * own,
            "energy_ratio": each.energy.by_seed.get(seed),
        }
        for each in paired
        for seed in sorted(each.score.by_seed.keys() | each.energy.by_seed.keys())
    ]
    for each in paired:
        row: dict[str, object] = {"kind": "mean", "arm": each.arm}
        means = {
            "score_difference": each.score.mean.scaled(own),
            "energy_ratio": each.energy.mean,
        }
        for name, mean in means.items():
            row |= {name: mean.mean, f"{name}_low": mean.low, f"{name}_high": mean.high}
            row[f"{name}_n"] = mean.n
        rows.append(row)
    columns = ["kind", "arm", "seed"]
    columns += [
        f"{name}{part}"
        for name in ("score_difference", "energy_ratio")
        for part in ("", "_low", "_high", "_n")
    ]
    frame = pd.DataFrame(rows, columns=columns)
    counts = ("seed", "score_difference_n", "energy_ratio_n")
    return frame.astype(dict.fromkeys(counts, "Int64"))


def _draw(
    paired: Sequence[_Paired], results: StudyResults, standing: EnergyKinds, marks: Marks
) -> Figure:
    names = [labels.wrapped(each.arm, 26) for each in paired]
    rows = [max(1.0, 0.33 * (name.count("\n") + 1)) for name in names]
    figure = Figure(figsize=(style.width_in(), 1.1 + _ROW_IN * sum(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    style.set_title(figure, f"Each run against that of {results.baseline_arm} with its seed")
    shown = Shown(results.metric)
    title = shown.difference_axis(f"Test {shown.name}, difference")
    left.set_xlabel(labels.wrapped(title, 20))
    base = results.baseline_arm
    right.set_xlabel(labels.wrapped(f"{standing.axis} relative to {base} (log scale)", 22))
    style.watermark(figure, standing)
    _set_axes(left, right, paired, results)
    left.set_yticks(range(len(paired)), names)
    left.set_ylim(len(paired) - 0.5, -0.5)
    for each, name in zip(paired, left.get_yticklabels(), strict=True):
        marks.add(name, each.arm)
    styles = style.arm_styles(results.arms, results.baseline_arm)
    heights = _heights(paired)
    alone = sum(each.pairs for each in paired) <= _TIPS
    for row, each in enumerate(paired):
        look = styles[each.arm]
        for axes, compared in ((left, each.score), (right, each.energy)):
            places = {seed: row + heights[seed] for seed in compared.by_seed}
            _draw_seeds(axes, each.arm, compared, places, look, marks, alone=alone)
            if compared.mean.bounded:
                _draw_mean(axes, each.arm, compared, row + _MEAN_AT, look, standing, marks)
        for axes, text in ((left, each.score.figures), (right, each.energy.figures)):
            verdict = each.verdict if axes is left else ""
            written = _write_beside(axes, row, "\n".join(filter(None, (text, verdict))))
            marks.add(written, each.arm)
    _add_legend(figure, shown.size(results.margin), standing)
    return figure


def _set_axes(left: Axes, right: Axes, paired: Sequence[_Paired], results: StudyResults) -> None:
    """Limits that hold every seed, and the intervals up to a limit."""
    metric = results.metric
    lost = [value for each in paired for value in each.score.by_seed.values()]
    ratios = [value for each in paired for value in each.energy.by_seed.values()]
    bounded = [each.score.mean for each in paired if each.score.mean.bounded]
    most = _most(lost, metric)
    lost += [max(mean.low, -most) for mean in bounded]
    lost += [min(mean.high, most) for mean in bounded]
    accepted = -metric.sign * results.margin
    lost += [accepted, -0.2 * accepted]
    low, high = min(lost), max(lost)
    room = 0.05 * (high - low)
    left.set_xlim(low - room, high + room)
    left.axvspan(
        *sorted((accepted, 0.0)), color=style.BASELINE_COLOUR, alpha=0.14, lw=0, zorder=0.5
    )
    ends = ratios or [1.0]
    ratio_means = [each.energy.mean for each in paired if each.energy.mean.bounded]
    farthest = min(ends) / _FARTHEST, max(ends) * _FARTHEST
    ends = [
        *ends,
        *(max(mean.low, farthest[0]) for mean in ratio_means),
        *(min(mean.high, farthest[1]) for mean in ratio_means),
    ]
    set_ratio_axis(right, min(ends), max(ends), 4)
    for axes, unchanged in ((left, 0.0), (right, 1.0)):
        axes.axvline(unchanged, color=style.INK, lw=0.8, zorder=1)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        for row in range(1, len(paired)):
            axes.axhline(row - 0.5, color=style.SEPARATOR, lw=0.6, zorder=0.4)


def _most(differences: Sequence[float], metric: Metric) -> float:
    """The largest difference up to which an interval is drawn, as it is shown."""
    if math.isfinite(span := (metric.highest - metric.lowest) * metric.factor):
        return span
    return _FARTHEST_TIMES * max(*map(abs, differences), metric.margin)


def _write_beside(axes: Axes, row: int, text: str) -> Annotation:
    """Figures right of a panel, at the height of a row; the layout leaves room for them."""
    return axes.annotate(
        text,
        (1, row),
        (5, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=style.SMALLEST_PT,
        linespacing=1.15,
        color=style.INK,
        annotation_clip=False,
    )


def _heights(paired: Sequence[_Paired]) -> dict[int, float]:
    """The height of a seed, the same in every row, so that the eye finds it again."""
    seeds = sorted(
        {seed for each in paired for seed in (*each.score.by_seed, *each.energy.by_seed)}
    )
    if len(seeds) == 1:
        return {seeds[0]: 0.0}
    places = np.linspace(_SEEDS_FROM, _SEEDS_TO, len(seeds)).tolist()
    return dict(zip(seeds, places, strict=True))


def _draw_seeds(
    axes: Axes,
    arm: str,
    compared: _Compared,
    places: dict[int, float],
    look: style.ArmStyle,
    marks: Marks,
    *,
    alone: bool,
) -> None:
    """A faint mark per seed; one artist each if `alone`, so that each can have a tip."""
    values = compared.by_seed
    for some in [[seed] for seed in values] if alone else [list(values)]:
        x, y = [values[seed] for seed in some], [places[seed] for seed in some]
        (dots,) = axes.plot(x, y, look.marker, color=look.faint, ms=3.2, mew=0)
        tip = f"{arm}, seed {some[0]}: {compared.worded(x[0])}" if alone else ""
        marks.add(dots, arm, tip)


def _draw_mean(
    axes: Axes,
    arm: str,
    compared: _Compared,
    height: float,
    look: style.ArmStyle,
    standing: EnergyKinds,
    marks: Marks,
) -> None:
    """A mean with its interval, cut with an arrow where the axis ends before it."""
    mean = compared.mean
    first, last = axes.get_xlim()
    low, high = max(mean.low, first), min(mean.high, last)
    (line,) = axes.plot([low, high], [height, height], color=look.colour, lw=1.4)
    marks.add(line, arm)
    for end, cut, arrow in ((low, mean.low < first, "<"), (high, mean.high > last, ">")):
        if cut:
            (tail,) = axes.plot(end, height, arrow, color=look.colour, ms=5, mew=0, clip_on=False)
            marks.add(tail, arm)
    face = look.colour if standing.measured else "white"
    edge = "white" if standing.measured else look.colour
    (mark,) = axes.plot(mean.mean, height, look.marker, ms=7, mfc=face, mec=edge, zorder=3)
    mark.set_markeredgewidth(0.8 if standing.measured else 1.5)
    marks.add(mark, arm, f"{arm}: {compared.text}, n = {mean.n}")


def _add_legend(figure: Figure, margin: str, standing: EnergyKinds) -> None:
    grey, face = style.MUTED, style.MUTED if standing.measured else "white"
    handles: list[Line2D | Patch] = [
        Line2D([], [], color="#909090", marker="o", ms=3.2, mew=0, ls=""),
        Line2D([], [], color=grey, marker="o", ms=7, mfc=face, mec=grey, lw=1.4),
        Patch(fc=style.BASELINE_COLOUR, alpha=0.14, lw=0),
    ]
    texts = ["one seed", "mean with 95 % interval", f"accepted loss ({margin})"]
    labels.legend_below(figure, handles, texts)
