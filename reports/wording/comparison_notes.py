"""What to know before believing a comparison of two result sets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.wording.comparison import EVERY, barriers, listed
from reports.wording.inert import one_line
from reports.wording.units import fixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reports.analysis.comparison import Comparison
    from reports.analysis.result_set import ArmRuns, ResultSet


def warnings(comparison: Comparison) -> list[str]:
    """What makes the figures worth less than they look; empty is good."""
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
    told = [", ".join(map(one_line, sorted(hosts))) for hosts in (ours, theirs)]
    text = f"A ran on {told[0]}, B on {told[1]}"
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
    """What the recorder found around the measurement of some runs: throttling, other processes."""
    finished = side.runs[side.runs["status"] == "done"]
    counts: dict[str, int] = {}
    for text in finished.get("energy_flags", pd.Series(dtype=str)).dropna():
        for flag in filter(None, str(text).split("; ")):
            counts[flag] = counts.get(flag, 0) + 1
    for flag, count in counts.items():
        runs = "one run" if count == 1 else f"{count} runs"
        yield f"measurement of {runs} in {side.side}: {one_line(flag)}"


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
    """Hyper-parameters and execution: a method that changed is compared all the same."""
    found: dict[str, list[str]] = {}
    for arm in comparison.arms:
        if any(change.found is not None for change in arm.changes.values()):
            for difference in arm.differences:
                found.setdefault(one_line(difference), []).append(one_line(arm.label))
    for difference, arms in found.items():
        whose = EVERY if len(arms) == len(comparison.arms) > 1 else listed(arms)
        yield f"{whose}: {difference}; any effect of that is in the changes"


def _versions(comparison: Comparison) -> Iterator[str]:
    """Programs of which the two used different versions, as far as both say."""
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
    told = [] if comparison.arms else ["No method is in both."]
    told += [f"{text[0].upper()}{text[1:]}." for text in barriers(comparison)]
    told += [f"Warning: {text}." for text in warnings(comparison)]
    return told + [f"Note: {text}." for text in notes(comparison)]


def sides(comparison: Comparison) -> list[str]:
    """What A is, and what B."""
    both = (comparison.first, comparison.second)
    return [f"{each.side}: {one_line(f'{each.folder} ({each.study})')}" for each in both]
