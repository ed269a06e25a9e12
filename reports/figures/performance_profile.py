"""A performance profile: on what share of workloads is a method within τ of the cheapest?

A performance profile (Dolan & Moré 2002, Mathematical Programming 91): on each workload the cost of
a method is divided by the lowest cost of any method that solves it; the profile of a method is the
share of workloads on which that ratio is at most τ. Here a workload is a study, the cost is the
mean energy of the whole recipe, and a method solves a workload if it is non-inferior to that
study's baseline at that study's margin; the baseline itself does. A workload on which it is
not shown to be non-inferior counts as not solved, whatever it cost.

Joules are divided within a workload only, so that studies may differ in device and scope. Methods
are the same if their labels are. Only those that every study ran are compared: shares of different
sets of workloads, or a best that only some competed for, would not be comparable. A method whose
runs all failed was run, and has not solved the workload.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox, ScaledTranslation

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import set_log_ticks
from reports.plotting.svg_ids import Marks
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.summary import Summary, summarise
from reports.text import captions
from reports.text.phrases import listed
from reports.text.scores import Shown
from reports.text.units import energy, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.settings.metric import Metric
    from reports.data import StudyResults


NAME = "performance_profile"

_APART_PT, _SPREAD_PT = 1.6, 12.0
"""Distance between curves that would cover each other, and the most for all of them."""
_MAX_TICKS = 8


def draw(studies: Sequence[StudyResults]) -> Figured | None:
    """A step curve a method; None of fewer than four workloads."""
    found = profile(studies)
    if found is None:
        return None
    standing = standing_of(pd.concat([study.telling for study in found.studies]))
    marks = Marks(dict.fromkeys(arm for study in studies for arm in study.arms))
    with style.printed():
        figure = _draw(found, standing, marks)
    brief = (
        f"Share of {len(found.workloads)} workloads on which a method keeps the {found.score} with "
        "at most τ times the energy of the cheapest method that does. Marks: workloads. "
        f"{standing.adjective.capitalize()} energy."
    )
    return Figured(
        *(figure, _frame(found), _caption(found), _alt(found, standing), marks),
        brief=brief,
        basis=f"{_seeds(found)} {_provenance(found)}",
    )


def _frame(found: Profile) -> pd.DataFrame:
    """One row per workload and method."""
    rows = [
        {
            "workload": each.workload,
            "arm": each.arm,
            "energy_j": each.energy_j,
            "verdict": each.verdict,
            "solved": each.solved,
            "ratio_to_best": each.ratio if each.solved else math.nan,
        }
        for place in range(len(found.workloads))
        for each in (outcomes[place] for outcomes in found.outcomes.values())
    ]
    return pd.DataFrame(rows)


def _caption(found: Profile) -> str:
    limits = listed(_limits(found))
    left_out = ", ".join(found.left_out)
    unjudged = ", ".join(found.unjudged)
    sentences = [
        (
            f"Performance profile (Dolan & Moré 2002) over {len(found.workloads)} workloads: "
            f"{', '.join(found.workloads)}."
        ),
        (
            f"A method solves a workload if its test {found.score} is shown to be non-inferior to "
            f"the baseline's, within {limits}; its cost is the mean energy of the whole recipe. "
            "A curve gives the share of workloads that a method solves with at most τ times the "
            "energy of the cheapest that does: at τ = 1 how often it is the cheapest, at the right "
            f"how often it keeps the {found.score} at all. Marks are workloads. Curves that "
            "coincide are drawn side by side. Energies are divided within a workload only. A share "
            "has no interval."
        ),
        f"Left out, as not every workload has a run of them: {left_out}." if left_out else "",
        f"Left out without a finished baseline: {unjudged}." if unjudged else "",
    ]
    return " ".join(filter(None, sentences))


def _limits(found: Profile) -> Iterator[str]:
    """The margins by metric, from the least to the most: "0.5 to 1 points"."""
    for metric in found.metrics:
        margins = sorted({study.margin for study in found.studies if study.metric == metric})
        *least, most = dict.fromkeys((margins[0], margins[-1]))
        text = Shown(metric).size(most)
        yield f"{least[0]:g} to {text}" if least else text


def _seeds(found: Profile) -> str:
    counts = [study.finished.groupby("arm")["seed"].nunique() for study in found.studies]
    known = pd.concat(counts)
    ends = dict.fromkeys((int(known.min()), int(known.max())))
    return f"n = {' to '.join(map(str, ends))} seeds per method and workload."


def _provenance(found: Profile) -> str:
    """What was measured on what; once if it is the same everywhere, else by workload."""
    texts: dict[str, list[str]] = {}
    for study, workload in zip(found.studies, found.workloads, strict=True):
        texts.setdefault(captions.provenance(study), []).append(workload)
    if len(texts) == 1:
        return next(iter(texts))
    return " ".join(f"{', '.join(where)}: {text}" for text, where in texts.items())


def _alt(found: Profile, standing: EnergyKinds) -> str:
    count = len(found.workloads)
    counts = " ".join(
        f"{arm}: cheapest on {sum(each.ratio == 1 for each in outcomes)}, "
        f"keeps the {found.score} on {found.solved(arm)}."
        for arm, outcomes in found.outcomes.items()
    )
    return f"Performance profile by {standing.adjective} energy over {count} workloads. {counts}"


def _draw(found: Profile, standing: EnergyKinds, marks: Marks) -> Figure:
    baselines = {study.baseline_arm for study in found.studies}
    looks = style.arm_styles(list(found.outcomes), baselines.pop() if len(baselines) == 1 else None)
    every = [each.ratio for outcomes in found.outcomes.values() for each in outcomes if each.solved]
    end = max(max(every, default=1.0) ** 1.12, 1.1)
    figure = Figure(figsize=(style.width_in(), 3.9), layout="constrained")
    axes = figure.subplots()
    style.set_title(
        axes, f"How often each method is near the cheapest that keeps the {found.score}"
    )
    axes.set_xlabel(f"τ: {standing.axis.lower()} as a multiple of the cheapest's (log scale)")
    axes.set_ylabel("Share of workloads (%)")
    axes.set_xscale("log")
    axes.set_xlim(end**-0.03, end)
    axes.set_ylim(-5, 107)
    steps = len(found.workloads) if len(found.workloads) <= _MAX_TICKS else 4
    axes.set_yticks([100 * step / steps for step in range(steps + 1)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0f}"))
    set_log_ticks(axes.xaxis, 1.0, end, most_even=6)
    style.watermark(figure, standing)
    curves = {arm: _curve(found, arm, end) for arm in found.outcomes}
    apart_pt = min(_APART_PT, _SPREAD_PT / len(curves))
    for number, (arm, curve) in enumerate(curves.items()):
        shift_pt = ((len(curves) - 1) / 2 - number) * apart_pt
        _draw_curve(axes, found, arm, curve, shift_pt, looks[arm], standing, marks)
    labels.freeze(figure)
    _name_curves(figure, found, curves, looks, standing, marks)
    return figure


def _curve(found: Profile, arm: str, end: float) -> list[tuple[float, float]]:
    """Corners of an arm's step curve: τ, and the share from there on in %."""
    jumps = sorted({each.ratio for each in found.outcomes[arm] if each.solved})
    taus = [1.0, *(jump for jump in jumps if jump > 1), end]
    return [(tau, 100 * found.share(arm, tau)) for tau in taus]


def _draw_curve(
    axes: Axes,
    found: Profile,
    arm: str,
    curve: list[tuple[float, float]],
    shift_pt: float,
    look: style.ArmStyle,
    standing: EnergyKinds,
    marks: Marks,
) -> None:
    """An arm's steps, and a mark where it solves a workload or several."""
    across = axes.transData + ScaledTranslation(0, shift_pt / 72, axes.figure.dpi_scale_trans)
    taus, shares = zip(*curve, strict=True)
    line = axes.step(
        *(taus, shares), where="post", color=look.colour, ls=look.line, lw=1.6, transform=across
    )[0]
    marks.add(line, arm, _tip(found, arm))
    solved: dict[float, list[MethodOnWorkload]] = {}
    for each in found.outcomes[arm]:
        if each.solved:
            solved.setdefault(each.ratio, []).append(each)
    for ratio, outcomes in solved.items():
        mark = axes.plot(
            *([ratio], [100 * found.share(arm, ratio)], look.marker),
            color=look.colour,
            mfc=look.colour if standing.measured else "white",
            ms=5.5,
            mew=1.2,
            zorder=3,
            transform=across,
        )[0]
        where = "; ".join(f"{each.workload}, {energy(each.energy_j)}" for each in outcomes)
        marks.add(mark, arm, f"{arm}, {significant(ratio)}× the cheapest: {where}")


def _tip(found: Profile, arm: str) -> str:
    text = (
        f"{arm} keeps the {found.score} on {found.solved(arm)} of {len(found.workloads)} workloads"
    )
    failed = [e for e in found.outcomes[arm] if not e.solved]
    where = ", ".join(f"{each.workload} ({each.verdict})" for each in failed)
    return f"{text}; not shown on {where}" if where else text


def _name_curves(
    figure: Figure,
    found: Profile,
    curves: dict[str, list[tuple[float, float]]],
    looks: dict[str, style.ArmStyle],
    standing: EnergyKinds,
    marks: Marks,
) -> None:
    """Names at the curves' right ends, or a legend where there is no room for all."""
    axes = figure.axes[0]
    anchors = [
        labels.Anchor(labels.wrapped(arm, 28), *curve[-1], looks[arm].ink, arm)
        for arm, curve in curves.items()
    ]
    if labels.place(axes, anchors, _obstacles(axes, curves), marks):
        return
    handles = [
        Line2D(
            *([], []),
            color=look.colour,
            ls=look.line,
            marker=look.marker,
            ms=5,
            mfc=look.colour if standing.measured else "white",
        )
        for look in (looks[arm] for arm in curves)
    ]
    count = len(found.workloads)
    names = [f"{arm} ({found.solved(arm)}\u00a0of\u00a0{count})" for arm in curves]
    labels.legend_below(figure, handles, names)
    for legend in figure.legends:
        for arm, handle, text in zip(
            curves, legend.legend_handles, legend.get_texts(), strict=True
        ):
            if handle is not None:
                marks.add(handle, arm)
            marks.add(text, arm)


def _obstacles(axes: Axes, curves: dict[str, list[tuple[float, float]]]) -> list[Bbox]:
    """Every step of every curve as a box in display coordinates."""
    boxes = []
    for curve in curves.values():
        for (left, share), (right, after) in pairwise(curve):
            flat = axes.transData.transform([(left, share), (right, share)])
            rise = axes.transData.transform([(right, share), (right, after)])
            boxes += [Bbox(flat).padded(4), Bbox(rise).padded(6)]
    return boxes


MIN_RATIO = 4
"""With fewer workloads a table shows more than a share does."""


@dataclass(frozen=True)
class MethodOnWorkload:
    """A method on a workload.

    Attributes:
        arm: The method's label.
        workload: What the workload is called.
        energy_j: Mean energy of its finished runs; NaN if there is none.
        verdict: Its score against the baseline's: a verdict of non-inferiority, "baseline", or
            "no finished run".
        ratio: Its energy as a ratio to the best of those that solve the workload; infinite if it
            does not solve it.
    """

    arm: str
    workload: str
    energy_j: float
    verdict: str
    ratio: float

    @property
    def solved(self) -> bool:
        """Whether it is shown to keep the score."""
        return math.isfinite(self.ratio)


@dataclass(frozen=True)
class Profile:
    """Methods by workloads.

    Attributes:
        studies: Those with a finished baseline, in which methods could be judged.
        workloads: Their names.
        outcomes: For each method that all of them ran, in order of appearance, its outcomes in the
            workloads' order.
        left_out: Methods that only some ran.
        unjudged: Names of the other studies' workloads.
    """

    studies: tuple[StudyResults, ...]
    workloads: tuple[str, ...]
    outcomes: dict[str, tuple[MethodOnWorkload, ...]]
    left_out: tuple[str, ...]
    unjudged: tuple[str, ...]

    @property
    def metrics(self) -> list[Metric]:
        """What the workloads are scored by."""
        return list(dict.fromkeys(study.metric for study in self.studies))

    @property
    def score(self) -> str:
        """The name of that, if it is one."""
        names = {metric.name for metric in self.metrics}
        return names.pop() if len(names) == 1 else "score"

    def share(self, arm: str, tau: float) -> float:
        """Share of workloads that a method solves within τ times the best's energy."""
        outcomes = self.outcomes[arm]
        return sum(each.ratio <= tau for each in outcomes) / len(outcomes)

    def solved(self, arm: str) -> int:
        """On how many workloads a method keeps the score, at any cost."""
        return sum(each.solved for each in self.outcomes[arm])


def profile(studies: Sequence[StudyResults]) -> Profile | None:
    """The profile of studies; None of fewer than four workloads, or of a single method."""
    judged = [study for study in studies if study.baseline_arm in study.finished_arms]
    names = dict(zip(map(id, studies), workload_names(studies), strict=True))
    arms = list(dict.fromkeys(arm for study in judged for arm in study.arms))
    common = [arm for arm in arms if all(arm in study.arms for study in judged)]
    if len(judged) < MIN_RATIO or len(common) < 2:
        return None
    workloads = tuple(names[id(study)] for study in judged)
    columns = [
        _outcomes(summarise(study), common, workload)
        for study, workload in zip(judged, workloads, strict=True)
    ]
    return Profile(
        studies=tuple(judged),
        workloads=workloads,
        outcomes={arm: tuple(column[arm] for column in columns) for arm in common},
        left_out=tuple(arm for arm in arms if arm not in common),
        unjudged=tuple(names[id(study)] for study in studies if study not in judged),
    )


def workload_names(studies: Sequence[StudyResults]) -> list[str]:
    """Data and model of each study, with the study's name where another has the same two."""
    plain = []
    for study in studies:
        chosen = study.settings.get("workload", {})
        known = [str(chosen[key]) for key in ("data", "model") if key in chosen]
        plain.append(" / ".join(known) or study.study)
    counts = Counter(plain)
    return [
        name if counts[name] == 1 or name == study.study else f"{name} ({study.study})"
        for name, study in zip(plain, studies, strict=True)
    ]


def _outcomes(summary: Summary, arms: Sequence[str], workload: str) -> dict[str, MethodOnWorkload]:
    energy_j, verdicts = {}, {}
    for arm in arms:
        found = summary.arm(arm)
        energy_j[arm] = math.nan if found is None else found.energy_j.mean
        verdicts[arm] = (
            "no finished run"
            if found is None
            else "baseline"
            if arm == summary.baseline
            else found.verdict or "inconclusive"
        )
    solving = {
        arm: joules
        for arm, joules in energy_j.items()
        if verdicts[arm] in ("baseline", "non-inferior") and joules > 0
    }
    best = min(solving.values(), default=math.nan)
    return {
        arm: MethodOnWorkload(
            arm=arm,
            workload=workload,
            energy_j=energy_j[arm],
            verdict=verdicts[arm],
            ratio=solving[arm] / best if arm in solving else math.inf,
        )
        for arm in arms
    }
