"""Thresholds checked against a comparison: kept, exceeded, or impossible to check."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from harness.settings.arm_selector import Selector
from harness.settings.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.settings.run_spec import RunSpec
    from reports.statistics.comparison import ArmComparison, Change, Comparison
    from reports.statistics.threshold import Threshold

Outcome = Literal["kept", "exceeded", "unchecked"]
Confirmation = Literal["shown", "within noise", "not shown"]

_ROUNDING = 1e-9
"""Smaller differences and widths come from arithmetic."""


@dataclass(frozen=True)
class Checked:
    """One threshold checked against one arm.

    Attributes:
        threshold: What was asked.
        arm: The arm's label, or the words that chose none; empty if there is no arm at all.
        outcome: "kept" or "exceeded" by the estimate; "unchecked" where there is none.
        confirmation: "shown" if the whole interval agrees, "within noise" if a part of it is
            on the other side, "not shown" if there is no interval or it has no width; None if
            unchecked.
        change: What was found; None if unchecked.
        standing: What the arm's energy is worth; empty if unchecked.
        reasons: Why it is unchecked.
        metric: What scores are.
    """

    threshold: Threshold
    arm: str
    outcome: Outcome
    confirmation: Confirmation | None = None
    change: Change | None = None
    standing: str = ""
    reasons: tuple[str, ...] = ()
    metric: Metric = ACCURACY


def check(comparison: Comparison, threshold: Threshold) -> list[Checked]:
    """Check a threshold against every arm that it applies to.

    A gate that passes unseen is worse than one that fails: what cannot be checked is returned as
    such, also an arm that only A has. One that only B has is new; it counts if it is asked for, or
    if there is no other.

    Raises:
        UsageError: The threshold is in the unit of another metric.
    """
    threshold.check_unit(comparison.metric)
    words = threshold.arm
    listed = [*_candidates(comparison, threshold)]
    if words:
        chosen = [each for each in listed if words.split() in [n.split() for n in each.names]]
        chosen = chosen or [each for each in listed if any(map(_chooser(words), each.specs))]
    else:
        chosen = [each for each in listed if not each.new] or listed
    if chosen:
        return [replace(each.checked, metric=comparison.metric) for each in chosen]
    known = [name for each in listed for name in each.names]
    close = difflib.get_close_matches(words, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    why = f"neither A nor B has this method{hint}"
    return [replace(_unchecked(threshold, words, why), metric=comparison.metric)]


@dataclass(frozen=True)
class _Candidate:
    """An arm that a threshold may apply to, and the outcome there."""

    names: tuple[str, ...]
    specs: tuple[RunSpec, ...]
    checked: Checked
    new: bool = False


def _candidates(comparison: Comparison, threshold: Threshold) -> Iterator[_Candidate]:
    for arm in comparison.arms:
        names = (arm.names.first, arm.names.second)
        yield _Candidate(names, (arm.first.spec, arm.second.spec), _check_arm(arm, threshold))
    for side, labels in (
        (comparison.first, comparison.only_first),
        (comparison.second, comparison.only_second),
    ):
        for label in labels:
            checked = _unchecked(threshold, label, f"only {side.side} has this method")
            new = side is comparison.second
            yield _Candidate((label,), (side.specs[label],), checked, new)


def _chooser(words: str) -> Callable[[RunSpec], bool]:
    """Whether a run belongs to the arms that a selector means; none if it is no selector."""
    try:
        return Selector.parse(words).matches
    except ValueError:
        return lambda _: False


def _check_arm(arm: ArmComparison, threshold: Threshold) -> Checked:
    change = arm.changes[threshold.quantity]
    relative = change.relative
    if relative is None:
        return Checked(threshold, arm.label, "unchecked", reasons=change.reasons)
    harm = -arm.first.metric.sign if threshold.quantity == "score" else 1
    exceeded = harm * (relative.mean - threshold.limit) > _ROUNDING
    return Checked(
        threshold=threshold,
        arm=arm.label,
        outcome="exceeded" if exceeded else "kept",
        confirmation=_confirmation(change, threshold.limit),
        change=change,
        standing=arm.standing,
    )


def _confirmation(change: Change, limit: float) -> Confirmation:
    # Two or three seeds agree by chance where a test set is small: no width shows nothing.
    if change.found is None or not change.found.half_width > _ROUNDING:
        return "not shown"
    low, high = change.bounds
    return "shown" if low > limit or high < limit else "within noise"


def _unchecked(threshold: Threshold, arm: str, why: str) -> Checked:
    return Checked(threshold, arm, "unchecked", reasons=(why,))
