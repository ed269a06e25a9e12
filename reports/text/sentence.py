"""A study in one plain sentence, and the footnotes of its verdicts and estimates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.text.captions import within
from reports.text.scores import Shown
from reports.text.units import energy, fixed, relative, signed

if TYPE_CHECKING:
    from reports.statistics.energy_kind import EnergyKinds
    from reports.statistics.statistics import Interval
    from reports.statistics.summary import ArmSummary, Summary
    from reports.statistics.verdicts import Decision


_IN_WORDS = (*"01", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
"""Numbers that begin a sentence."""


def sentence(summary: Summary) -> str:
    """What the study shows, no more: the score kept or not, and for how much energy."""
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
    if kept:
        named = min(kept, key=_ratio_mean)
        text = _kept(named, summary)
    else:
        undecided = [arm for arm in compared if arm.verdict != "worse"]
        named = min(undecided or compared, key=_ratio_mean)
        text = _not_shown(named, compared, undecided, summary)
    return " ".join(filter(None, [text, estimate_in_ratio(named, summary.standing)]))


def _without_baseline(summary: Summary) -> str:
    """The method with the least energy, since there is no baseline to compare with."""
    least = min(summary.challengers, key=lambda arm: arm.energy_j.mean)
    lead = f"No run of {summary.baseline} has finished, so no ratio can be given"
    count = len(summary.challengers)
    if count == 1:
        return f"{lead}; {least.arm} {_absolute(least, summary)}."
    return (
        f"{lead}; of {count} methods {least.arm} needed the least energy: "
        f"it {_absolute(least, summary)}."
    )


def _kept(best: ArmSummary, summary: Summary) -> str:
    """The cheapest of the arms shown to keep the baseline's score, or to better it."""
    shown, ratio = Shown(summary.metric), best.ratio
    tail = ""
    if ratio is not None and not ratio.bounded:
        why = "with one pair of energies" if ratio.n < 2 else "with sensors of unknown error"
        tail = f"; {why} no saving is shown"
    elif ratio is not None and ratio.low > 1:
        tail = f"; no method shown to keep that {shown.name} needed less energy than "
        tail += summary.baseline
    elif ratio is not None and ratio.high >= 1:
        tail = f"; its energy may be lower or higher than {summary.baseline}'s"
    sign = summary.metric.sign
    better = best.decision is not None and best.decision.interval.oriented(sign).low > 0
    lead = (
        f"{best.arm} is better than {summary.baseline}"
        if better
        else f"{best.arm} keeps {summary.baseline}'s {shown.name} within "
        f"{shown.size_of_name(summary.shown_margin)}"
    )
    return f"{lead}{_scope([best])}: it {_reached(best, summary)}{tail}."


def _not_shown(
    named: ArmSummary,
    compared: list[ArmSummary],
    undecided: list[ArmSummary],
    summary: Summary,
) -> str:
    """No arm is shown to keep the score: which are worse, and the cheapest that may not be."""
    found = _reached(named, summary)
    worse = f"worse than {summary.baseline} by more than {_margin(summary)}"
    if not undecided:
        worse += _scope(compared)
        if len(compared) == 1:
            return f"{named.arm} is {worse}: it {found}."
        return f"Every method is {worse}; the cheapest, {named.arm}, {found}."
    count = len(compared) - len(undecided)
    one = len(undecided) == 1
    which = named.arm if one else "any other method" if count else "any method"
    stays = f"{which} stays within {_margin(summary)} of {summary.baseline}"
    stays += _scope(undecided)
    if max(arm.decision.interval.n for arm in undecided if arm.decision) < 2:
        lead = f"One seed gives no interval, so it cannot tell whether {stays}"
    else:
        lead = f"{_evidence(undecided, summary)} cannot tell whether {stays}"
    if count:
        lead += f" ({count} {'is' if count == 1 else 'are'} worse)"
    name = "it" if one else f"the cheapest{' of them' if count else ''}, {named.arm},"
    return f"{lead}; {name} {found}."


def _evidence(undecided: list[ArmSummary], summary: Summary) -> str:
    """The evidence: the number of seeds, and of test samples where they count."""
    decisions = [arm.decision for arm in undecided if arm.decision is not None]
    n = max(each.interval.n for each in decisions)
    text = f"{_IN_WORDS[n] if n < len(_IN_WORDS) else n} seeds"
    if summary.rule and n < summary.rule.max:
        text += f" of at most {summary.rule.max}"
    samples = {each.samples for each in decisions}
    return text if 0 in samples else f"{text} and {max(samples):,} test samples"


def _scope(arms: list[ArmSummary]) -> str:
    """The scope of a verdict where the score of each test sample was not recorded."""
    counted = all(arm.decision is not None and arm.decision.samples for arm in arms)
    return "" if counted else " on this test set"


def _reached(arm: ArmSummary, summary: Summary) -> str:
    decision, ratio = arm.decision, arm.ratio
    if decision is None or ratio is None:
        raise ValueError(f"{arm.arm} is not compared with a baseline")
    metric, shown = summary.metric, Shown(summary.metric)
    found = decision.interval.scaled(metric.factor)
    decimals = _decimals(found, summary.shown_margin, metric.decimals)
    size = fixed(abs(found.mean), decimals)
    # A difference that is not known, of damaged records, is shown as a dash.
    is_none = math.isfinite(found.mean) and not float(size)
    operator = "±" if is_none else "−" if found.mean < 0 else "+"
    against = f"{summary.baseline} {operator} {size} {metric.difference_unit}".strip()
    if found.bounded:
        within = f"{signed(found.low, decimals)} … {signed(found.high, decimals)}"
        against += f", {confidence(found)} CI {within}"
    if decision.alone != decision.verdict:
        against += f"; alone it would be called {decision.alone}"
    interval = ""
    if ratio.bounded:
        within = f"{fixed(ratio.low, 2)} … {fixed(ratio.high, 2)}"
        interval = f" ({confidence(ratio)} CI {within})"
    return (
        f"reached {shown.text(arm.score.mean)} ({against}) with "
        f"{relative(ratio.mean)}×{interval} of {summary.baseline}'s "
        f"{summary.standing.adjective} energy ({_pairs(arm, decision, ratio, shown)})"
    )


def _pairs(arm: ArmSummary, decision: Decision, ratio: Interval, shown: Shown) -> str:
    """Over how many seeds score and energy were compared, which may differ."""
    n = decision.interval.n
    by_rule = f"decided after {n} seeds by the rule" if decision.decided_after else ""
    if ratio.n == n:
        return _with_failures(by_rule or _of_seeds(n), arm)
    text = by_rule or f"{shown.name}: {_of_seeds(n)}"
    return _with_failures(f"{text}; energy: {_of_seeds(ratio.n)}", arm)


def _absolute(arm: ArmSummary, summary: Summary) -> str:
    shown, score = Shown(summary.metric), arm.score
    interval = "no interval"
    if score.bounded:
        interval = f"{confidence(score)} CI {shown.ends(score)}"
    return (
        f"reached {shown.text(score.mean)} ({interval}) with "
        f"{energy(arm.energy_j.mean)} of {summary.standing.adjective} energy "
        f"({_with_failures(_of_seeds(score.n), arm)})"
    )


def _of_seeds(count: int) -> str:
    return "one seed, no interval" if count == 1 else f"{count} seeds"


def _with_failures(text: str, arm: ArmSummary) -> str:
    if arm.failures:
        text += f"; {arm.failures} of its {arm.n + arm.failures} runs did not finish"
    return text


def _ratio_mean(arm: ArmSummary) -> float:
    return arm.ratio.mean if arm.ratio else float("inf")


def _margin(summary: Summary) -> str:
    return Shown(summary.metric).size(summary.shown_margin)


def _decimals(found: Interval, margin: float, least: int) -> int:
    """The metric's decimals, or one more where they would print a bound as if on the margin."""
    return least + any(round(abs(bound), least) == margin for bound in (found.low, found.high))


def confidence(interval: Interval) -> str:
    """How sure an interval is, to three digits: "95 %", "98.8 %"."""
    return f"{interval.confidence * 100:.3g} %"


def basis(decision: Decision, shown: Shown) -> str:
    """What a verdict rests on besides the shown interval; empty if nothing."""
    parts = []
    if decision.decided_after:
        parts.append(f"decided after {decision.decided_after} seeds")
    if decision.alone != decision.verdict:
        parts.append(f"alone: {decision.alone}")
    if decision.interval.bounded and decision.interval != decision.own:
        found = decision.interval
        parts.append(f"{confidence(found)} CI {shown.change_ends(found)}")
    return "; ".join(parts)


def legend(summary: Summary) -> str:
    """How verdicts are reached, and what they cover."""
    decisions = [arm.decision for arm in summary.challengers if arm.decision is not None]
    if not decisions:
        return ""
    margin = Shown(summary.metric).size(summary.shown_margin)
    higher = summary.metric.higher_is_better
    within, beyond = ("above −", "below") if higher else ("below +", "above")
    text = (
        f"“Non-inferior”: the whole interval of the difference is {within}{margin}; "
        f"“worse”: the whole interval is {beyond} it; otherwise “inconclusive”."
    )
    arms = max(each.arms for each in decisions)
    if arms > 1:
        text += (
            f" The verdicts of {arms} methods share one 2.5 % chance of error "
            "(Holm); where a method alone would get another verdict, or the verdict rests on a "
            "wider interval, that is shown below it."
        )
    if summary.rule:
        text += (
            f" Seeds were added from {summary.rule.min} to at most {summary.rule.max} until each "
            "verdict was decided; intervals of differences are widened so that all looks together "
            "err in at most 2.5 % of studies."
        )
    samples = {each.samples for each in decisions if each.interval.bounded}
    if samples and 0 not in samples:
        text += (
            f" Their intervals allow for the seeds and for the {max(samples):,} test samples, "
            "which all seeds share."
        )
    elif samples:
        text += (
            " They hold for this test set only: the score of each of its samples was not recorded, "
            "so the intervals do not allow for other samples."
        )
    return text


def estimate_in_ratio(arm: ArmSummary, standing: EnergyKinds) -> str:
    """What the uncertainty of estimates means for their ratio; empty for measured energy.

    An estimate is wrong by the watts that it assumes: the same factor in every run, as long as runs
    load the machine alike. A ratio's interval over seeds does not include that.
    """
    share = arm.uncertainty_j / arm.energy_j.mean if arm.energy_j.mean > 0 else math.nan
    if standing.measured or standing.simulated or not math.isfinite(share):
        return ""
    return (
        f"The joules of an estimate may be wrong by {within(share)}: that cancels in the ratio "
        "where both methods load the machine alike, and widens it where they do not."
    )
