"""Warnings: what limits a study's figures, or comparisons between them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from reports.statistics.energy_kind import standing_of
from reports.statistics.energy_ratio import threads_doubt, threads_of
from reports.text.captions import words
from reports.text.units import fixed, percent

if TYPE_CHECKING:
    from reports.data import StudyResults

MIN_SEEDS = 3
"""Below this an interval is wide or missing, and hardly any difference can be shown."""
COVERED = 0.95
"""A run that was observed for less of its time than this gets a warning."""
STANDING = "standing"
"""Kind of the warning that no sensor measured the energy."""
UNEQUAL_C = 5.0
"""Silicon leaks more when it is warm: about 1 % of power in 5 degrees (our judgement)."""
_SHARE = re.compile(r"\d+(?:\.\d+)?(?= ?%)")
UNEQUAL_THREADS = 0.05
"""Doubt in a ratio of estimates, by unequal threads, below which there is no warning."""


@dataclass(frozen=True)
class Warned:
    """One thing to know.

    Attributes:
        kind: A word or two, such as "energy scope".
        text: What it is, in a sentence.
        runs: How many runs it concerns.
    """

    kind: str
    text: str
    runs: int


def warnings(results: StudyResults) -> list[Warned]:
    """All warnings of a study; empty is good."""
    return [
        *_standing(results),
        *_mixed(results),
        *_cards(results.finished),
        *_threads(results.finished),
        *_coverage(results.finished),
        *_flags(results.finished),
        *_uncounted(results.finished),
        *_made_of(results.finished),
        *_temperatures(results.finished),
        *_seeds(results),
        *_unfinished(results),
    ]


def _standing(results: StudyResults) -> list[Warned]:
    standing = standing_of(results.telling)
    if standing.measured or not standing.kinds:
        return []
    text = f"Energy is {standing.adjective}: no sensor measured it."
    return [Warned(STANDING, text, len(results.telling))]


def _mixed(results: StudyResults) -> list[Warned]:
    """Differences between runs that make a comparison between them unsafe."""
    finished = results.finished
    found = []
    for column, name in (
        ("energy_source", "energy source"),
        ("energy_scope", "energy scope"),
        ("energy_device", "measured device"),
        ("calibration", "calibration of the estimate"),
        ("device", "computing device"),
        ("host", "host"),
    ):
        if column not in finished:
            continue  # tables of older versions
        values = words(finished[column])
        if len(values) > 1:
            text = f"Runs differ in {name} ({', '.join(values)}): compare with care."
            found.append(Warned(name, text, len(finished)))
    return found


def _cards(runs: pd.DataFrame) -> list[Warned]:
    """GPUs of one type differ by some percent in power: no arm may have one to itself."""
    known = runs[runs.get("gpus", pd.Series("", index=runs.index)).fillna("") != ""]
    if known.empty or known["gpus"].nunique() < 2:
        return []
    met = known.groupby("arm")["gpus"].agg(["nunique", "size"])
    one = met[(met["nunique"] == 1) & (met["size"] > 1)]
    if one.empty:
        return []
    text = f"Runs used several GPUs, but only one of them: {', '.join(map(str, one.index))}."
    return [Warned("one card", text, int(one["size"].sum()))]


def _threads(runs: pd.DataFrame) -> list[Warned]:
    """Power a thread falls as more are busy, which an estimate knows on a calibrated machine."""
    if not standing_of(runs).estimated:
        return []
    of_arms = {str(arm): each for arm, each in runs.groupby("arm")}
    used = {arm: threads_of(each) for arm, each in of_arms.items()}
    known = {arm: threads for arm, threads in used.items() if threads > 0}
    if len(known) < 2:
        return []
    fewest, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    doubt = threads_doubt(of_arms[fewest], of_arms[most])
    if doubt < UNEQUAL_THREADS:
        return []
    text = (
        f"{fewest} kept {fixed(known[fewest], 1)} threads busy and {most} {fixed(known[most], 1)}: "
        f"the ratio of their estimates may be off by {percent(doubt)} % because of that."
    )
    return [Warned("threads in use", text, len(runs))]


def _coverage(runs: pd.DataFrame) -> list[Warned]:
    shares = pd.to_numeric(runs["coverage"])
    few = int((shares < COVERED).sum())
    if not few:
        return []
    limit, least = percent(COVERED), fixed(float(shares.min()) * 100, 1)
    text = f"In {runs_text(few)} less than {limit} % of the time was observed, down to {least} %."
    return [Warned("coverage", text, few)]


def _flags(runs: pd.DataFrame) -> list[Warned]:
    return [
        Warned("measurement", f"Measurement of {runs_text(count)}: {flag}.", count)
        for flag, count in flag_counts(runs).items()
    ]


def flag_counts(runs: pd.DataFrame) -> Counter[str]:
    """Runs per flag of the recorder, such as throttling or other processes, in order of sight.

    Flags that differ in a percentage alone are one, with the range of it.
    """
    texts = runs.get("energy_flags", pd.Series(dtype=str)).dropna()
    alike: dict[str, list[str]] = {}
    for flag in (flag for text in texts for flag in str(text).split("; ") if flag):
        alike.setdefault(_SHARE.sub("", flag), []).append(flag)
    return Counter({_ranging(flags): len(flags) for flags in alike.values()})


def _ranging(flags: list[str]) -> str:
    """One flag for all: "kept 49 to 65% of the CPUs busy"."""
    text, places = flags[0], zip(*(_SHARE.findall(flag) for flag in flags), strict=True)
    ranges = [sorted(set(shares), key=float) for shares in places]
    ends = iter([each[0] if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in ranges])
    return _SHARE.sub(lambda _: next(ends), text)


def _uncounted(runs: pd.DataFrame) -> list[Warned]:
    """Operators that the MACs leave out; older results do not have them."""
    if "macs_uncounted" not in runs:
        return []
    some = runs[runs["macs_uncounted"].fillna("") != ""]
    names = sorted({name for text in some["macs_uncounted"] for name in text.split(", ")})
    if not names:
        return []
    text = f"MACs leave out {', '.join(names)}, for which no formula is known."
    return [Warned("MACs", text, len(some))]


def _made_of(runs: pd.DataFrame) -> list[Warned]:
    """Runs of one method with different code or data; older results have no fingerprint."""
    found = []
    for column, group, text in (
        ("code_hash", "method", "Runs of {} used different code: they are {} different methods."),
        (
            "data_hash",
            "variant",
            "Runs{} saw {} different data sets, which cannot be compared.",
        ),
    ):
        if column not in runs or group not in runs:
            continue
        for name, some in runs.groupby(runs[group].fillna(""), sort=False):
            known = some[column].replace("", None).dropna()
            if (count := known.nunique()) > 1:
                named = name if column == "code_hash" else f" of variant {name}" if name else ""
                kind = column.removesuffix("_hash")
                found.append(Warned(kind, text.format(named, count), len(known)))
    return found


def _temperatures(runs: pd.DataFrame) -> list[Warned]:
    warmth = pd.to_numeric(runs.get("start_temperature_c", pd.Series(dtype=float))).dropna()
    if not len(warmth) or warmth.max() - warmth.min() <= UNEQUAL_C:
        return []
    ends = f"{fixed(float(warmth.min()), 0)} to {fixed(float(warmth.max()), 0)} °C"
    text = f"Runs started at different temperatures ({ends}): set energy.cool_down_c."
    return [Warned("temperature", text, len(warmth))]


def _seeds(results: StudyResults) -> list[Warned]:
    counts = results.finished.groupby("arm")["seed"].nunique()
    few = counts[counts < MIN_SEEDS]
    if few.empty:
        return []
    listed = ", ".join(f"{arm} ({count})" for arm, count in few.items())
    text = f"Fewer than {MIN_SEEDS} finished seeds, so little can be shown: {listed}."
    return [Warned("seeds", text, int(few.sum()))]


def _unfinished(results: StudyResults) -> list[Warned]:
    found = []
    count = len(results.runs) - len(results.finished)
    if count:
        text = f"{runs_text(count).capitalize()} did not finish; their energy is in no mean."
        found.append(Warned("unfinished", text, count))
    if results.finished_arms and results.baseline_arm not in results.finished_arms:
        text = f"There is no finished run of {results.baseline}, so no ratio is given."
        found.append(Warned("baseline", text, 0))
    return found


def runs_text(count: int) -> str:
    """A number of runs: "one run", "3 runs"."""
    return "one run" if count == 1 else f"{count} runs"
