"""What a comparison of two result sets found, in sentences, and what limits it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from harness.results.safe_csv import one_line
from reports.statistics.comparability import COLUMNS, quantity_name
from reports.text.phrases import listed
from reports.text.units import fixed, signed
from reports.text.warnings import flag_counts, runs_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.settings.metric import Metric
    from reports.statistics.comparison import ArmComparison, Change, Comparison
    from reports.statistics.result_set import ArmRuns, ResultSet
    from reports.statistics.threshold import Quantity, Threshold
    from reports.statistics.threshold_check import Checked


EVERY = "every method"
_LARGE = 99_999


def gate_sentence(checked: Checked) -> str:
    """One threshold held against one arm, in a sentence without its full stop."""
    threshold, change = checked.threshold, checked.change
    name = quantity_name(threshold.quantity, checked.metric)
    if threshold.quantity in ("energy", "co2e") and checked.standing not in ("", "measured"):
        name = f"{checked.standing} {name}"
    subject = f"{name} of {one_line(checked.arm)}" if checked.arm else name
    if change is None or change.relative is None:
        return f"{subject} cannot be checked because {'; '.join(map(one_line, checked.reasons))}"
    least = checked.metric.decimals if threshold.quantity == "score" else 1
    decimals = _decimals(change.relative.mean, threshold.limit, least)
    found = f"{_signed(change.relative.mean, decimals)} {unit_of(checked)}".strip()
    return f"{subject} {found} ({_basis(change, decimals)}): {_verdict(checked)}{_doubt(checked)}"


def barriers(comparison: Comparison) -> list[str]:
    """What is not comparable and why, those of one reason together; empty is good."""
    found: dict[tuple[str, tuple[Quantity, ...]], list[ArmComparison]] = {}
    for arm in comparison.arms:
        blocked_by: dict[str, list[Quantity]] = {}
        for quantity, change in arm.changes.items():
            for reason in change.reasons:
                blocked_by.setdefault(reason, []).append(quantity)
        for reason, quantities in blocked_by.items():
            found.setdefault((reason, tuple(quantities)), []).append(arm)
    together: dict[tuple[str, str], list[str]] = {}
    for (reason, blocked), arms in found.items():
        whose = _arms((arm.label for arm in arms), comparison)
        verb = "is" if len(blocked) == 1 else "are"
        subject = f"{_named(blocked, comparison.metric)} of {whose} {verb}"
        together.setdefault((subject, _left(arms, comparison.metric)), []).append(one_line(reason))
    return [
        f"{subject} not comparable because {'; '.join(reasons)}{left}"
        for (subject, left), reasons in together.items()
    ]


def _left(arms: list[ArmComparison], metric: Metric) -> str:
    """What can still be compared of these arms."""
    left = [each for each in COLUMNS if all(arm.changes[each].found is not None for arm in arms)]
    verb = "is" if len(left) == 1 else "are"
    return f", but {_named(left, metric)} {verb}" if left else ""


def _named(quantities: Iterable[Quantity], metric: Metric) -> str:
    return listed(quantity_name(each, metric) for each in quantities)


def intervals(comparison: Comparison) -> str:
    """How the intervals were made, in a sentence; what was made otherwise is named."""
    made: dict[str, dict[str, list[Quantity]]] = {}
    samples = max((arm.changes["score"].samples for arm in comparison.arms), default=0)
    for arm in comparison.arms:
        for quantity, change in arm.changes.items():
            if change.found is not None:
                way = change.way if change.found.bounded else "none"
                made.setdefault(way, {}).setdefault(arm.label, []).append(quantity)
    texts = {
        "paired": "paired by seed",
        "Welch": "Welch's, where fewer than two seeds are shared",
        "none": "none, where one side has a single run",
    }
    parts = [
        f"{texts[way]}{_whose(made[way], comparison) if len(made) > 1 else ''}"
        for way in texts
        if way in made
    ]
    if samples:
        parts.append(
            f"those of {comparison.metric.name} allow for the choice of {samples} test samples, too"
        )
    return f"Intervals: 95 % Student-t, {'; '.join(parts)}." if parts else ""


def _whose(made: Mapping[str, list[Quantity]], comparison: Comparison) -> str:
    """Of which arms, and of which quantities if not of all that an arm has."""
    found: dict[tuple[Quantity, ...], list[str]] = {}
    for arm, quantities in made.items():
        found.setdefault(tuple(quantities), []).append(arm)
    parts = [
        f"{_named(quantities, comparison.metric)} of {_arms(arms, comparison)}"
        for quantities, arms in found.items()
    ]
    return f" ({'; '.join(parts)})"


def _arms(arms: Iterable[str], comparison: Comparison) -> str:
    labels = list(arms)
    if len(labels) == len(comparison.arms) > 1:
        return EVERY
    return listed(map(one_line, labels))


def _decimals(value: float, limit: float, least: int) -> int:
    """The fewest decimals that do not print a value as if it were the limit."""
    tried = range(least, least + 3)
    return next((n for n in tried if round(value, n) != round(limit, n)), least)


def unit_of(checked: Checked) -> str:
    """The unit of a threshold's limit and of the change that it limits."""
    is_score = checked.threshold.quantity == "score"
    return checked.metric.difference_unit if is_score else checked.threshold.unit


def _signed(value: float, decimals: int) -> str:
    """A number with its sign; a huge one is cut."""
    return f">+{_LARGE}" if value > _LARGE else signed(value, decimals)


def _basis(change: Change, decimals: int) -> str:
    """What a change rests on: its interval, how that was made, and from how many runs."""
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
    limit = _limit(threshold, unit_of(checked))
    sign = checked.metric.sign if threshold.quantity == "score" else -1
    if sign * threshold.limit > 0:
        return f"{'short of' if exceeded else 'reaches'} the {limit} asked for"
    if exceeded:
        return f"{'less' if sign > 0 else 'more'} than the {limit} allowed"
    return f"within the {limit} allowed"


def _limit(threshold: Threshold, unit: str) -> str:
    sign = "+" if threshold.limit > 0 else "−" if threshold.limit < 0 else ""
    return f"{sign}{abs(threshold.limit):g} {unit}".strip()


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
        return f", but within noise: the interval{gain} includes the limit"
    if not change.found.bounded:
        return ", but not shown: a single run gives no interval"
    return ", but not shown: all seeds changed equally, so there is no interval"


def warnings(comparison: Comparison) -> list[str]:
    """What limits the figures; empty is good."""
    return [*_machines(comparison), *_flags(comparison.first), *_flags(comparison.second)]


def notes(comparison: Comparison) -> list[str]:
    """What else the two differ in, or have in common."""
    return [
        *_same_folder(comparison),
        *_standing(comparison),
        *_differences(comparison),
        *_versions(comparison),
        *_alone(comparison),
    ]


def _machines(comparison: Comparison) -> Iterator[str]:
    """Machines or GPUs that differ, and what their sensors' errors add to a ratio of energies."""
    ours = _hosts(arm.first for arm in comparison.arms)
    theirs = _hosts(arm.second for arm in comparison.arms)
    if len(ours | theirs) <= 1:
        ours = _gpus(arm.first for arm in comparison.arms)
        theirs = _gpus(arm.second for arm in comparison.arms)
        if ours == theirs:
            return
    if not (ours and theirs):
        return
    names = [", ".join(map(one_line, sorted(hosts))) for hosts in (ours, theirs)]
    text = f"A ran on {names[0]}, B on {names[1]}"
    gains = [
        arm.changes["energy"].doubt.gain
        for arm in comparison.arms
        if arm.changes["energy"].found is not None
    ]
    if gains:
        largest = max(gains, key=lambda gain: math.inf if math.isnan(gain) else gain)
        adds = "what is unknown" if math.isnan(largest) else f"up to ±{fixed(largest * 100, 1)} %"
        text += (
            f": the gain errors of two boards' sensors do not cancel, which adds {adds} to each "
            "ratio of energies, beside its interval"
        )
    yield text


def _hosts(arms: Iterable[ArmRuns]) -> set[str]:
    return {host for arm in arms for host in arm.hosts}


def _gpus(arms: Iterable[ArmRuns]) -> set[str]:
    return {gpus for arm in arms for _, gpus in arm.boards.values() if gpus}


def _flags(side: ResultSet) -> Iterator[str]:
    finished = side.runs[side.runs["status"] == "done"]
    for flag, count in flag_counts(finished).items():
        yield f"measurement of {runs_text(count)} in {side.side}: {one_line(flag)}"


def _same_folder(comparison: Comparison) -> Iterator[str]:
    folders = [Path(side.folder).resolve() for side in (comparison.first, comparison.second)]
    if folders[0] == folders[1]:
        yield "A and B are the same folder"


def _standing(comparison: Comparison) -> Iterator[str]:
    standings = {
        arm.standing for arm in comparison.arms if arm.changes["energy"].found is not None
    } - {"measured"}
    for standing in sorted(standings):
        partly = standing.startswith("partly")
        yield f"energy is {standing} in both{'' if partly else ', not measured by a sensor'}"


def _differences(comparison: Comparison) -> Iterator[str]:
    """Hyper-parameters and execution: a changed method is still compared."""
    found: dict[str, list[str]] = {}
    for arm in comparison.arms:
        if any(change.found is not None for change in arm.changes.values()):
            for difference in arm.differences:
                found.setdefault(one_line(difference), []).append(one_line(arm.label))
    for difference, arms in found.items():
        whose = EVERY if len(arms) == len(comparison.arms) > 1 else listed(arms)
        yield f"{whose}: {difference}; the changes include its effect"


def _versions(comparison: Comparison) -> Iterator[str]:
    """Programs of which the two used different versions, where both recorded them."""
    ours, theirs = (_used(side) for side in (comparison.first, comparison.second))
    differing = [
        f"{name} ({', '.join(sorted(ours[name]))} in A; {', '.join(sorted(theirs[name]))} in B)"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    if differing:
        yield f"versions differ: {', '.join(map(one_line, differing))}"


def _used(side: ResultSet) -> dict[str, set[str]]:
    used: dict[str, set[str]] = {}
    for text in dict.fromkeys(side.attempts["versions"].dropna()):
        for name, version in json.loads(text).items():
            used.setdefault(str(name), set()).add(str(version))
    return used


def _alone(comparison: Comparison) -> Iterator[str]:
    for side, labels in (("A", comparison.only_first), ("B", comparison.only_second)):
        if labels:
            yield f"only in {side}: {', '.join(map(one_line, labels))}"


def remarks(comparison: Comparison) -> list[str]:
    """Everything beside the figures, a sentence each, what is not comparable first."""
    found = [] if comparison.arms else ["No method is in both."]
    found += [f"{text[0].upper()}{text[1:]}." for text in barriers(comparison)]
    found += [f"Warning: {text}." for text in warnings(comparison)]
    return found + [f"Note: {text}." for text in notes(comparison)]


def sides(comparison: Comparison) -> list[str]:
    """What A is, and what B."""
    both = (comparison.first, comparison.second)
    return [f"{each.side}: {one_line(f'{each.folder} ({each.study})')}" for each in both]
