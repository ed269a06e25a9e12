"""What a comparison of two result sets found, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.analysis.comparability import NAMES
from reports.wording.inert import one_line
from reports.wording.units import fixed, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.threshold import Metric, Threshold
    from reports.analysis.comparison import ArmComparison, Change, Comparison
    from reports.analysis.gates import Checked

EVERY = "every method"
_LARGE = 99_999


def listed(names: Iterable[str]) -> str:
    """Names with commas, and "and" before the last."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def told_gate(checked: Checked) -> str:
    """One threshold held against one arm, in a sentence without its full stop."""
    threshold, change = checked.threshold, checked.change
    name = NAMES[threshold.metric]
    if threshold.metric in ("energy", "co2e") and checked.standing not in ("", "measured"):
        name = f"{checked.standing} {name}"
    subject = f"{name} of {one_line(checked.arm)}" if checked.arm else name
    if change is None or change.relative is None:
        return f"{subject} cannot be checked because {'; '.join(map(one_line, checked.reasons))}"
    decimals = _decimals(change.relative.mean, threshold.limit)
    found = f"{_signed(change.relative.mean, decimals)} {threshold.unit}"
    return f"{subject} {found} ({_basis(change, decimals)}): {_verdict(checked)}{_doubt(checked)}"


def barriers(comparison: Comparison) -> list[str]:
    """What is not comparable and why, those of one reason together; empty is good."""
    found: dict[tuple[str, tuple[Metric, ...]], list[ArmComparison]] = {}
    for arm in comparison.arms:
        told: dict[str, list[Metric]] = {}
        for metric, change in arm.changes.items():
            for reason in change.reasons:
                told.setdefault(reason, []).append(metric)
        for reason, metrics in told.items():
            found.setdefault((reason, tuple(metrics)), []).append(arm)
    together: dict[tuple[str, str], list[str]] = {}
    for (reason, blocked), arms in found.items():
        whose = _arms((arm.label for arm in arms), comparison)
        verb = "is" if len(blocked) == 1 else "are"
        subject = f"{listed(NAMES[metric] for metric in blocked)} of {whose} {verb}"
        together.setdefault((subject, _left(arms)), []).append(one_line(reason))
    return [
        f"{subject} not comparable because {'; '.join(reasons)}{left}"
        for (subject, left), reasons in together.items()
    ]


def _left(arms: list[ArmComparison]) -> str:
    """What can be compared of these arms all the same."""
    metrics = [m for m in NAMES if all(arm.changes[m].found is not None for arm in arms)]
    verb = "is" if len(metrics) == 1 else "are"
    return f", but {listed(NAMES[metric] for metric in metrics)} {verb}" if metrics else ""


def intervals(comparison: Comparison) -> str:
    """How the intervals were made, in a sentence; what was made otherwise is named."""
    made: dict[str, dict[str, list[Metric]]] = {}
    for arm in comparison.arms:
        for metric, change in arm.changes.items():
            if change.found is not None:
                way = change.way if change.found.bounded else "none"
                made.setdefault(way, {}).setdefault(arm.label, []).append(metric)
    told = {
        "paired": "paired by seed",
        "Welch": "Welch's, where fewer than two seeds are shared",
        "none": "none, where one side has a single run",
    }
    parts = [
        f"{told[way]}{_whose(made[way], comparison) if len(made) > 1 else ''}"
        for way in told
        if way in made
    ]
    return f"Intervals: 95 % Student-t, {'; '.join(parts)}." if parts else ""


def _whose(made: Mapping[str, list[Metric]], comparison: Comparison) -> str:
    """Of which arms, and of which quantities if not of all that an arm has."""
    found: dict[tuple[Metric, ...], list[str]] = {}
    for arm, metrics in made.items():
        found.setdefault(tuple(metrics), []).append(arm)
    parts = [
        f"{listed(NAMES[metric] for metric in metrics)} of {_arms(arms, comparison)}"
        for metrics, arms in found.items()
    ]
    return f" ({'; '.join(parts)})"


def _arms(arms: Iterable[str], comparison: Comparison) -> str:
    labels = list(arms)
    if len(labels) == len(comparison.arms) > 1:
        return EVERY
    return listed(map(one_line, labels))


def _decimals(value: float, limit: float) -> int:
    """As few as needed not to print a value as if it were the limit."""
    return next((n for n in (1, 2, 3) if round(value, n) != round(limit, n)), 1)


def _signed(value: float, decimals: int) -> str:
    """A number with its sign; one beyond all sense cut."""
    return f">+{_LARGE}" if value > _LARGE else signed(value, decimals)


def _basis(change: Change, decimals: int) -> str:
    """What a change rests on: its interval, how that was made, and of how many runs."""
    relative = change.relative
    if relative is None or not relative.bounded:
        return f"no interval, {_runs(change)}"
    ends = f"{_signed(relative.low, decimals)} … {_signed(relative.high, decimals)}"
    return f"95 % CI {ends}, {change.way}, {_runs(change)}"


def _runs(change: Change) -> str:
    if change.way == "paired":
        return f"{change.n_b} seeds"
    return (
        "one run each" if change.n_a == change.n_b == 1 else f"{change.n_a} and {change.n_b} runs"
    )


def _verdict(checked: Checked) -> str:
    threshold, exceeded = checked.threshold, checked.outcome == "exceeded"
    limit = _limit(threshold)
    better = -threshold.limit if threshold.metric != "accuracy" else threshold.limit
    if better > 0:
        return f"{'short of' if exceeded else 'reaches'} the {limit} asked for"
    if exceeded:
        return f"{'less' if threshold.metric == 'accuracy' else 'more'} than the {limit} allowed"
    return f"within the {limit} allowed"


def _limit(threshold: Threshold) -> str:
    sign = "+" if threshold.limit > 0 else "−" if threshold.limit < 0 else ""
    return f"{sign}{abs(threshold.limit):g} {threshold.unit}"


def _doubt(checked: Checked) -> str:
    change = checked.change
    if change is None or change.found is None or checked.confirmation == "shown":
        return ", shown by the whole interval"
    if checked.confirmation == "within noise":
        gain = (
            f", with ±{fixed(change.doubt.gain * 100, 1)} % between the sensors,"
            if change.doubt.gain
            else ""
        )
        return f", but within noise: the interval{gain} holds the limit"
    if not change.found.bounded:
        return ", but not shown: a single run has no interval"
    return ", but not shown: all seeds changed alike, and an interval without width shows nothing"
