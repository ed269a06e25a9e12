"""The study in one plain sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.wording.units import energy, fixed, signed

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval
    from reports.analysis.summary import ArmSummary, Summary


_IN_WORDS = (*"01", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
"""Numbers that begin a sentence."""


def sentence(summary: Summary) -> str:
    """What the study shows, no more: accuracy kept or not, and for how much energy."""
    if not summary.finished:
        return "No run has finished, so there is nothing to compare yet."
    if not summary.challengers:
        only = summary.finished[0]
        alone = "no other method has finished to compare it with"
        return f"{only.arm} {_absolute(only, summary)}; {alone}."
    if not summary.has_baseline:
        return _without_baseline(summary)
    compared = [a for a in summary.challengers if a.ratio and a.ratio.n and a.difference]
    if not compared:
        return (
            f"No finished run shares a seed and a known energy with one of {summary.baseline}, "
            f"so nothing can be compared."
        )
    kept = [arm for arm in compared if arm.verdict == "non-inferior"]
    return _kept(kept, summary) if kept else _not_shown(compared, summary)


def _without_baseline(summary: Summary) -> str:
    """The least energy of all, for want of anything to compare it with."""
    least = min(summary.challengers, key=lambda arm: arm.energy_j.mean)
    lead = f"No run of {summary.baseline} has finished, so no ratio can be given"
    count = len(summary.challengers)
    if count == 1:
        return f"{lead}; {least.arm} {_absolute(least, summary)}."
    return (
        f"{lead}; of {count} methods {least.arm} needed the least energy: "
        f"it {_absolute(least, summary)}."
    )


def _kept(kept: list[ArmSummary], summary: Summary) -> str:
    """The cheapest of the arms shown to keep the baseline's accuracy."""
    best = min(kept, key=_ratio_mean)
    ratio = best.ratio
    tail = ""
    if ratio is not None and not ratio.bounded:
        tail = "; with one pair of energies no saving is shown"
    elif ratio is not None and ratio.low > 1:
        tail = f"; no method shown to keep that accuracy needed less energy than {summary.baseline}"
    elif ratio is not None and ratio.high >= 1:
        tail = f"; its energy may be lower or higher than {summary.baseline}'s"
    return (
        f"{best.arm} keeps {summary.baseline}'s accuracy within {_margin(summary)} points: "
        f"it {_reached(best, summary)}{tail}."
    )


def _not_shown(compared: list[ArmSummary], summary: Summary) -> str:
    """No arm is shown to keep the accuracy; the cheapest is named with its difference."""
    cheapest = min(compared, key=_ratio_mean)
    several = len(compared) > 1
    n = max(arm.difference.n for arm in compared if arm.difference)
    which = "any method" if several else cheapest.arm
    stays = f"within {_margin(summary)} points of {summary.baseline}"
    if n < 2:
        lead = f"One seed gives no interval, so it cannot tell whether {which} stays {stays}"
    elif all(arm.verdict == "worse" for arm in compared):
        lead = (
            f"{'No method' if several else f'{cheapest.arm} does not'} stay{'s' * several} {stays}"
        )
    else:
        seeds = _IN_WORDS[n] if n < len(_IN_WORDS) else n
        lead = f"{seeds} seeds cannot tell whether {which} stays {stays}"
    name = f"the cheapest, {cheapest.arm}," if several else "it"
    return f"{lead}; {name} {_reached(cheapest, summary)}."


def _reached(arm: ArmSummary, summary: Summary) -> str:
    difference, ratio = arm.difference, arm.ratio
    if difference is None or ratio is None:
        raise ValueError(f"{arm.arm} is not compared with a baseline")
    points = difference.scaled(100)
    decimals = _decimals(points, summary.margin * 100)
    operator = "−" if points.mean < 0 else "+"
    against = f"{summary.baseline} {operator} {fixed(abs(points.mean), decimals)} points"
    if points.bounded:
        against += f", 95 % CI {signed(points.low, decimals)} … {signed(points.high, decimals)}"
    interval = ""
    if ratio.bounded:
        interval = f" (95 % CI {fixed(ratio.low, 2)} … {fixed(ratio.high, 2)})"
    return (
        f"reached {fixed(arm.accuracy.mean * 100, 1)} % ({against}) with "
        f"{fixed(ratio.mean, 2)}×{interval} of {summary.baseline}'s "
        f"{summary.standing.adjective} energy ({_seeds(arm, difference)})"
    )


def _absolute(arm: ArmSummary, summary: Summary) -> str:
    accuracy = arm.accuracy.scaled(100)
    interval = "no interval"
    if accuracy.bounded:
        interval = f"95 % CI {fixed(accuracy.low, 1)} … {fixed(accuracy.high, 1)}"
    return (
        f"reached {fixed(accuracy.mean, 1)} % ({interval}) with "
        f"{energy(arm.energy_j.mean)} of {summary.standing.adjective} energy "
        f"({_seeds(arm, accuracy)})"
    )


def _seeds(arm: ArmSummary, used: Interval) -> str:
    text = "one seed, no interval" if used.n == 1 else f"{used.n} seeds"
    if arm.failures:
        text += f"; {arm.failures} of its {arm.n + arm.failures} runs did not finish"
    return text


def _ratio_mean(arm: ArmSummary) -> float:
    return arm.ratio.mean if arm.ratio else float("inf")


def _margin(summary: Summary) -> str:
    return f"{summary.margin * 100:g}"


def _decimals(points: Interval, margin: float) -> int:
    """One decimal, or two where one would print a bound as if it lay on the margin."""
    return 2 if any(round(abs(b), 1) == margin for b in (points.low, points.high)) else 1
