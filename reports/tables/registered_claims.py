"""Registered claims: what the records of their studies show of them, as a table."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.results.column import Column, Schema
from harness.results.table import Tables
from harness.settings.arm_selector import Selector
from harness.settings.settings import AS_RECORDED, WHEREABOUTS, Settings
from harness.study.choose import choose_study
from harness.study.claim_registry import RegisteredClaim, Verdict, registered_claims
from harness.study.expand import expand
from reports.data import asked_claims, plain_results
from reports.statistics.energy_kind import standing_of
from reports.statistics.statistics import Interval
from reports.tables.claims import judge, missing
from reports.tables.table import ENERGY_KIND, Table, View
from reports.text.units import fixed, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from harness.settings.run_spec import RunSpec
    from harness.study.claim_registry import Limits
    from harness.study.study import Study
    from reports.data import StudyResults
    from reports.tables.claims import JudgedClaim
    from reports.tables.table import Record

DIGITS = 6
"""Significant digits of a kept figure: fewer than two machines agree on."""


def verdicts_in(folders: Mapping[str, Path]) -> dict[str, Verdict]:
    """What results show of the claims that they test, by the claim's id.

    Args:
        folders: Results of one built-in study each, by what to call them.

    Raises:
        UsageError: A folder holds no results, or of a study that no claim is about, or two are of
            one study.
    """
    found: dict[str, Verdict] = {}
    by_study: dict[str, str] = {}
    for name, path in folders.items():
        tables = Tables(path)
        other = by_study.setdefault(tables.study, name)
        if other != name:
            raise UsageError(
                f"{name}: is of study {tables.study}, as {other} is; give one of them, or join "
                "them with `python -m harness merge`"
            )
        found |= _verdicts_of(tables, name)
    return found


def _verdicts_of(tables: Tables, name: str) -> dict[str, Verdict]:
    of_study = [claim for claim in registered_claims() if claim.test.study == tables.study]
    if not of_study:
        raise UsageError(f"{name}: no registered claim is about study '{tables.study}'")
    claims = [claim for claim in of_study if not claim.test.lacks]
    study, registry = choose_study((tables.study,), (), (), (), ())
    specs = expand(study, registry)
    results = replace(
        plain_results(tables), claims=asked_claims(tables, [claim.asked for claim in claims])
    )
    found = {}
    for claim, judged in zip(claims, judge(results), strict=True):
        untested = (
            missing(results, judged.claim)
            or _changed(study, tables.settings)
            or _changed_arm(claim.test.arm, judged.claim.arm, specs, tables)
            or _changed_arm(claim.test.against, judged.claim.against, specs, tables)
        )
        found[claim.id] = (
            Verdict(verdict="not tested", reason=untested, records=name)
            if untested
            else _verdict(judged, results, name)
        )
    return found


def _changed(study: Study, saved: Mapping[str, Any]) -> str:
    """How a study was changed before it was run, so that a claim's scale is not its; or empty."""
    for table in ("workload", "training", "tuning"):
        ours: Settings = getattr(study, table)
        theirs = type(ours).model_validate(saved.get(table, {}), context=AS_RECORDED)
        for key in type(ours).model_fields:
            now, then = getattr(ours, key), getattr(theirs, key)
            if key not in WHEREABOUTS and now != then:
                return f"its {table}.{key} was {then!r}, not {now!r} as in the study"
    return ""


def _changed_arm(words: str, label: str | None, specs: list[RunSpec], tables: Tables) -> str:
    """The same of a method's hyper-parameters; those that came later have their defaults."""
    chosen = Selector.parse(words)
    ours = next(spec for spec in specs if chosen.matches(spec)).hyperparameters
    seed = tables.runs.loc[tables.runs["arm"] == label, "seed"].iloc[0]
    theirs = tables.folder(str(label), int(seed)).read_spec().hyperparameters
    for key, then in theirs.items():
        if key in ours and ours[key] != then:
            return f"{label} had {key} = {then!r}, not {ours[key]!r} as in the study"
    return ""


def _verdict(judged: JudgedClaim, results: StudyResults, records: str) -> Verdict:
    compared = results.finished["arm"].isin([judged.claim.arm, judged.claim.against])
    return Verdict(
        verdict=judged.verdict,
        by=judged.by,
        reason=judged.why,
        energy_ratio=_kept(judged.energy),
        energy_kind=standing_of(results.finished[compared]).adjective,
        score_difference=_kept(judged.difference),
        score_unit=results.metric.difference_unit,
        n=min(judged.energy.n, judged.difference.n),
        records=records,
    )


def _kept(found: Interval) -> Limits:
    mean, low, high = (
        None if math.isnan(each) else float(f"{each:.{DIGITS}g}")
        for each in (found.mean, found.low, found.high)
    )
    return mean, low, high


SCHEMA = Schema(
    "registered_claims",
    "Published claims and their verdicts",
    "a registered claim",
    (
        Column("id", "text", "Names the claim."),
        Column("claim", "text", "What was published."),
        Column("source", "text", "Where."),
        Column("there", "text", "Data, networks and figure, as published."),
        Column("measured_there", "text", "How it was measured."),
        Column("study", "text", "The built-in study that tests it."),
        Column("scale", "text", "How far the study is from what was published."),
        Column("energy_ratio", "number", "Energy over the other's.", interval=True),
        ENERGY_KIND,
        Column("score_difference", "number", "Test score minus the other's.", interval=True),
        Column("score_unit", "text", "Its unit."),
        Column("n", "integer", "Pairs of runs with the same seed."),
        Column("verdict", "text", "`supported`, `not supported`, `inconclusive`, `not tested`."),
        Column("reason", "text", "What decided against it, left it open, or kept it untested."),
    ),
)


def registry_table(found: Iterable[tuple[RegisteredClaim, Verdict]]) -> Table:
    """One row per claim, in the given order."""
    return Table(
        schema=SCHEMA,
        records=[_record(*each) for each in found],
        view={
            "id": View("Claim"),
            "claim": View("Published", note=lambda row: row["source"]),
            "there": View("There", note=lambda row: row["measured_there"]),
            "verdict": View("Verdict", note=lambda row: row["reason"]),
            "scale": View("At which scale", note=lambda row: f"study {row['study']}"),
            "energy_ratio": View("Energy, ratio", show=partial(fixed, decimals=2), note=_energy),
            "score_difference": View("Score", show=partial(signed, decimals=2), note=_difference),
            "n": View("n", show=partial(fixed, decimals=0)),
        },
        legend="A verdict is of the scale beside it, and never more. “Supported” where the whole "
        "95 % interval of each figure satisfies the claim’s bound, “not supported” where the whole "
        "of one violates it, else “inconclusive”; “not tested” where there are no records. Energy "
        "is a ratio to that of the method compared with, and score the difference to it: means "
        "over pairs of runs with the same seed. n counts pairs.",
    )


def _record(claim: RegisteredClaim, verdict: Verdict) -> Record:
    number = f"arXiv {claim.arxiv}" if claim.arxiv else f"doi {claim.doi}"
    return {
        "id": claim.id,
        "claim": claim.text,
        "source": f"{claim.source}, {number}",
        "there": ": ".join(filter(None, (claim.workload, claim.figure))),
        "measured_there": claim.measured_there,
        "study": claim.test.study,
        "scale": claim.at_scale,
        "energy_ratio": _interval(verdict.energy_ratio, verdict.n),
        "energy_kind": verdict.energy_kind,
        "score_difference": _interval(verdict.score_difference, verdict.n),
        "score_unit": verdict.score_unit,
        "n": verdict.n or None,
        "verdict": verdict.words,
        "reason": verdict.reason,
    }


def _interval(limits: Limits | None, n: int) -> Interval:
    mean, low, high = (math.nan if each is None else each for each in limits or (None,) * 3)
    return Interval(mean, low, high, n)


def _energy(row: Record) -> str:
    """The interval, and what the figure is."""
    return _ends(row["energy_ratio"], partial(fixed, decimals=2), row["energy_kind"])


def _difference(row: Record) -> str:
    """The interval with its unit."""
    return _ends(row["score_difference"], partial(signed, decimals=2), row["score_unit"])


def _ends(found: Interval, show: Callable[[float], str], after: str) -> str:
    ends = f"{show(found.low)} … {show(found.high)} " if found.bounded else ""
    return f"{ends}{after}" if found.n else ""
