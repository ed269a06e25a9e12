"""Phrases for results: crossings of a frontier, stages, repetitions, ratios, targets."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from reports.text.units import MISSING, energy, fixed, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reports.data import StudyResults
    from reports.statistics.break_even import Payback
    from reports.statistics.decomposition import Decomposition, MeasuredStage
    from reports.statistics.frontier import Crossing, Frontier
    from reports.statistics.statistics import Interval
    from reports.statistics.targets import TargetReached
    from reports.text.scores import Shown


NOT_REACHED = "not reached"
COSTS_MORE = "every level costs more"


def energy_there(found: Crossing) -> str:
    """The energy at the baseline's score: "0.62", "at most 0.41", "not reached"."""
    if found.status == "not reached":
        return NOT_REACHED
    return f"{'at most ' if found.status == 'bound' else ''}{fixed(found.value.mean, 2)}"


def difference_there(found: Crossing, shown: Shown) -> str:
    """The difference in score at the baseline's energy: "+0.31", "every level costs more"."""
    if found.status == "not reached":
        return COSTS_MORE
    bound = "at least " if shown.metric.higher_is_better else "at most "
    return f"{bound if found.status == 'bound' else ''}{shown.changes(found.value.mean)}"


def crossing_limits(found: Crossing, show: Callable[[float], str]) -> str:
    """The interval of a crossing; empty where there is none."""
    if found.status == "not reached" or not found.value.bounded:
        return ""
    return f"{show(found.value.low)} … {show(found.value.high)}"


def crossing_text(frontier: Frontier, baseline: str, shown: Shown) -> str:
    """Both answers of a frontier in a sentence without its full stop."""
    parts = []
    for text, within, where in (
        (
            energy_there(frontier.energy),
            crossing_limits(frontier.energy, partial(fixed, decimals=2)),
            f"at {baseline}'s {shown.name}",
        ),
        (
            difference_there(frontier.difference, shown),
            crossing_limits(frontier.difference, shown.changes),
            "",
        ),
    ):
        unit = f" of {baseline}'s energy" if where else f" {shown.difference_unit.symbol}".rstrip()
        lead = where or f"at {baseline}'s energy"
        known = "" if text in (NOT_REACHED, COSTS_MORE) else unit
        parts.append(f"{lead} {text}{known}{f' (95 % CI {within})' if within else ''}")
    return f"{frontier.name}: {', '.join(parts)}"


START = "start"
NOT_RUN = "not run"


def named(level: MeasuredStage) -> str:
    """The name of a stage: "precision", or "input and precision" if one was passed over."""
    *others, last = level.factors or (START,)
    text = f"{', '.join(others)} and {last}" if others else last
    begins = level.reached is not None and level.reached.step is None
    return f"{START}, with {text}" if begins and text != START else text


def order(found: Decomposition) -> str:
    """Why a step is not the factor's own share, and other caveats of a decomposition."""
    text = (
        "What a factor saves depends on the ones before it: in another order the steps would "
        "differ, the total would not."
    )
    steps = [level for level in found.levels if level.reached and level.reached.step]
    spans = [named(level) for level in steps if len(level.factors) > 1]
    if spans:
        text += f" Not every stage was run, so that one step stands for {'; one for '.join(spans)}."
    if found.mixed:
        text += f" The energies are {found.mixed}, so ratios between them mean little."
    return text


_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def repetitions(times: float) -> str:
    """A number of repetitions: "0.58", "1,250", "1.3 million"; "∞" without a limit."""
    if math.isinf(times):
        return "∞"
    # Rounded as it is printed, so that 999,999 is a million.
    rounded = float(f"{times:.3g}")
    for size, name in _LARGE:
        if rounded >= size:
            count = rounded / size
            return f"{significant(count)} {name}" if count < 1e6 else f"{times:.0e}"
    return f"{rounded:,.0f}" if rounded >= 1e3 else significant(times)


def payback_limits(payback: Payback) -> str:
    """The interval of the number of repetitions; empty where there is none."""
    if math.isnan(payback.low):
        return ""
    return f"{repetitions(payback.low)} … {repetitions(payback.high)}"


def payback_text(payback: Payback | None) -> str:
    """A whole answer: "5.27 (4.18 … 5.98)", "never, as large as dense", "undecided (about 40)"."""
    if payback is None:
        return MISSING
    why = f", {payback.why}" if payback.why else ""
    if payback.verdict in ("after", "until"):
        ahead = "ahead until " if payback.verdict == "until" else ""
        return f"{ahead}{repetitions(payback.times)} ({payback_limits(payback)}){why}"
    about = "" if math.isnan(payback.times) else f" (about {repetitions(payback.times)})"
    return f"{payback.verdict}{about}{why}"


_HUGE = 1e5
"""From here on an exponent is easier to read than digits."""


def times(ratio: Interval) -> str:
    """0.746 is "1.34× less", 1.2 is "1.20× more"; a dash where nothing is known."""
    if not math.isfinite(ratio.mean):
        return MISSING
    factor = _shown(max(ratio.mean, 1 / ratio.mean))
    if factor == "1.00":
        return "equal"
    return f"{factor}× {'less' if ratio.mean < 1 else 'more'}"


def times_interval(ratio: Interval) -> str:
    """The interval of `times`, lowest first; empty where there is none.

    On the other side of 1 the factor is below 1: "1.05× less", 0.97 … 1.14.
    """
    if not ratio.bounded:
        return ""
    ends = [ratio.low, ratio.high]
    if ratio.mean < 1:
        ends = [1 / end if end > 0 else math.inf for end in reversed(ends)]
    return " … ".join(map(_shown, ends))


def _shown(factor: float) -> str:
    return significant(factor) if 1e-3 < factor < _HUGE or math.isinf(factor) else f"{factor:.0e}"


def reached(target: TargetReached) -> str:
    """The mean energy with its unit and, where some did not reach it, how many seeds did."""
    if not target.seeds:
        return MISSING
    if not target.energy_j.n:
        return NOT_REACHED
    text = energy(target.energy_j.mean)
    some = some_of(target.energy_j.n, target.seeds)
    return f"{text} ({some})" if some else text


def some_of(n: int, seeds: int) -> str:
    """Such as "2 of 3 seeds"; empty where all or none reached it."""
    return "" if n in (0, seeds) else f"{n} of {seeds} seeds"


def whose_score(results: StudyResults) -> str:
    """Whose score the targets of energy to score are shares of."""
    if results.target_score is not None:
        return "that the study sets (`report.target_score`)"
    return f"that {results.baseline_arm} ends with (mean over seeds)"


def listed(words: Iterable[str]) -> str:
    """Such as "90, 95 and 99"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
