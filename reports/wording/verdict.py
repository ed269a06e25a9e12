"""What a verdict on accuracy rests on, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.wording.units import signed

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval
    from reports.analysis.summary import Summary
    from reports.analysis.verdicts import Decision


def confidence(interval: Interval) -> str:
    """How sure an interval is, to three digits: "95 %", "98.8 %"."""
    return f"{interval.confidence * 100:.3g} %"


def basis(decision: Decision) -> str:
    """What beside its own interval a verdict rests on; empty if nothing."""
    parts = []
    if decision.decided_after:
        parts.append(f"decided after {decision.decided_after} seeds")
    if decision.alone != decision.verdict:
        parts.append(f"alone: {decision.alone}")
    if decision.interval.bounded and decision.interval != decision.own:
        points = decision.interval.scaled(100)
        within = f"{signed(points.low, 2)} … {signed(points.high, 2)}"
        parts.append(f"{confidence(points)} CI {within}")
    return "; ".join(parts)


def legend(summary: Summary) -> str:
    """How verdicts are reached, and what they speak of, in some sentences."""
    decisions = [arm.decision for arm in summary.challengers if arm.decision is not None]
    if not decisions:
        return ""
    margin = f"{summary.margin * 100:g}"
    text = (
        f"“Non-inferior” means that the whole interval of the difference lies above −{margin} "
        "points, “worse” that the whole of it lies below, else the verdict is “inconclusive”."
    )
    arms = max(each.arms for each in decisions)
    if arms > 1:
        text += (
            f" The verdicts of {arms} methods share one 2.5 % chance of error "
            "(Holm); where a method alone would be called otherwise, or rests on a wider interval, "
            "that stands beneath."
        )
    if summary.rule:
        text += (
            f" Seeds were added from {summary.rule.min} to at most {summary.rule.max} until each "
            "verdict was decided; intervals of differences have the level that holds 2.5 % over "
            "all looks together."
        )
    images = {each.images for each in decisions if each.interval.bounded}
    if images and 0 not in images:
        text += (
            f" Their intervals allow for the seeds and for the {max(images):,} test images, which "
            "all seeds share."
        )
    elif images:
        text += (
            " They speak of this test set alone: which of its images were classified rightly was "
            "not recorded, so that the chance of other images is not in them."
        )
    return text
