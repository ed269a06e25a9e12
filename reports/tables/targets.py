"""Energy to score: the joules until an arm comes near the baseline's score."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.statistics.energy_kind import standing_of
from reports.statistics.statistics import Interval
from reports.statistics.targets import (
    SHARES,
    TargetReached,
    energy_to_targets,
    reference_score,
    shares_of,
)
from reports.tables.table import ARM, ENERGY_KIND, Table, View
from reports.text.phrases import NOT_REACHED, listed, some_of, whose_score
from reports.text.scores import Shown
from reports.text.units import MISSING, Unit, energy_unit, percent, relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reports.data import StudyResults
    from reports.tables.table import Record

_THE_SAME = Interval(1.0, float("nan"), float("nan"), 0)


def _to(share: float) -> str:
    """How the columns of a target begin."""
    return f"to_{percent(share)}_percent"


def _columns(share: float) -> Iterator[Column]:
    name, shown = _to(share), percent(share)
    yield Column(
        f"{name}_energy_j",
        "number",
        f"Energy until the validation score first is {shown} % ({percent(2 - share)} % where lower "
        "is better) of `report.target_score`, or of the baseline's final one: mean over the seeds "
        "that reached it.",
        "J",
        interval=True,
    )
    yield Column(
        f"{name}_energy_ratio",
        "number",
        "That over the baseline's: geometric mean, paired by seed.",
        interval=True,
    )
    yield Column(f"{name}_n", "integer", "Seeds that reached it.")


SCHEMA = Schema(
    "energy_to_score",
    "Energy to score",
    "a finished method",
    (
        ARM,
        *(column for share in SHARES for column in _columns(share)),
        Column("seeds", "integer", "Seeds that were evaluated."),
        ENERGY_KIND,
    ),
)


def targets(results: StudyResults) -> Table | None:
    """One row per finished arm; None without a finished baseline that sets the targets."""
    found = {(each.arm, each.share): each for each in energy_to_targets(results)}
    if not found:
        return None
    unit = energy_unit(each.energy_j.mean for each in found.values())
    standing = standing_of(results.finished)
    kind = "" if standing.measured else f" ({standing.adjective})"
    view = {"arm": View("Method")}
    shares = shares_of(results.metric)
    for named, share in zip(SHARES, shares, strict=True):
        view[f"{_to(named)}_energy_j"] = _energy(f"Energy{kind} to {percent(share)} %", unit, named)
        view[f"{_to(named)}_energy_ratio"] = _ratio(
            f"To {percent(share)} %, relative to {results.baseline_arm}", named
        )
    return Table(
        schema=SCHEMA,
        records=[
            _record([found[arm, share] for share in shares], standing.adjective)
            for arm in results.finished_arms
        ],
        view=view,
        title=f"Energy to {results.metric.name}",
        legend=_legend(results),
        arms=results.finished_arms,
    )


def _record(targets: Sequence[TargetReached], kind: str) -> Record:
    """The row of one arm, from its targets."""
    record: dict[str, object] = {"arm": targets[0].arm}
    for share, target in zip(SHARES, targets, strict=True):
        name = _to(share)
        at_all = bool(target.energy_j.n)
        record[f"{name}_energy_j"] = target.energy_j
        record[f"{name}_energy_ratio"] = target.ratio or (_THE_SAME if at_all else None)
        record[f"{name}_n"] = target.energy_j.n
    return record | {"seeds": targets[0].seeds, "energy_kind": kind}


def _energy(title: str, unit: Unit, share: float) -> View:
    name = _to(share)
    plain = View(title, unit)

    def text(row: Record) -> str | None:
        return None if row[f"{name}_n"] else NOT_REACHED if row["seeds"] else MISSING

    def note(row: Record) -> str:
        some = some_of(row[f"{name}_n"], row["seeds"])
        return "; ".join(filter(None, (plain.ends(row[f"{name}_energy_j"]), some)))

    return replace(plain, text=text, note=note)


def _ratio(title: str, share: float) -> View:
    name = f"{_to(share)}_energy_ratio"

    def text(row: Record) -> str | None:
        return "1" if row[name] is _THE_SAME else None

    return View(title, show=relative, text=text)


def _legend(results: StudyResults) -> str:
    reference, shown = reference_score(results), Shown(results.metric)
    shares = [percent(share) for share in shares_of(results.metric)]
    levels = [shown.bare(share * reference) for share in shares_of(results.metric)]
    where = "above" if results.metric.higher_is_better else "below"
    unit = f" {shown.unit.symbol}".rstrip()
    return (
        f"Everything spent until the validation {shown.name} first is at or {where} "
        f"{listed(shares)} % of the {shown.bare(reference)}{unit} {whose_score(results)}: "
        f"{listed(levels)}{unit}. "
        "Only evaluations of the network in its final shape count, since before its last "
        "pruning it is not the network that the method delivers; the energy is that of the "
        "whole run until then, search included. Nothing is interpolated between evaluations. "
        "Means over the seeds that reached it, with 95 % Student-t intervals below; if some "
        "seeds never got there, the mean covers only those that did (optimistic). Ratios are "
        "paired by seed, on the log scale and with the error of the sensors, over the seeds in "
        "which both reached it."
    )
