"""Energy at the baseline's score and score at its energy, one row per method's frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from harness.results.column import Column, Schema
from reports.statistics.energy_kind import standing_of
from reports.statistics.frontier import frontiers
from reports.tables.table import ENERGY_KIND, Table, View, decimals
from reports.text.phrases import difference_there, energy_there
from reports.text.scores import Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.settings.metric import Metric
    from reports.data import StudyResults
    from reports.statistics.frontier import Frontier
    from reports.tables.table import Record

NAME = "matched_score"
_STATUS = "`reached` between two levels, `bound` where every level is beyond it, or `not reached`."
SCHEMA = Schema(
    NAME,
    "Energy at the same score",
    "a method with all its levels",
    (
        Column("method", "text", "The method, without the level of its arms."),
        Column("levels", "text", "Its arms, by energy."),
        Column("energy_status", "text", f"Whether it has the baseline's score: {_STATUS}"),
        Column(
            "energy_ratio",
            "number",
            "Energy over the baseline's where it has the baseline's score; a bound where every "
            "level is better.",
            interval=True,
        ),
        Column("energy_between", "text", "The levels on either side."),
        Column("score_status", "text", f"Whether it has the baseline's energy: {_STATUS}"),
        Column(
            "score_difference",
            "number",
            "Test score minus the baseline's where it has the baseline's energy; a bound where "
            "every level costs less.",
            interval=True,
        ),
        Column("score_between", "text", "The levels on either side."),
        Column(
            "best_difference",
            "number",
            "Test score of its best level minus the baseline's.",
            interval=True,
        ),
        ENERGY_KIND,
        Column("n", "integer", "Seeds that all its levels share with the baseline."),
    ),
)


def matched(results: StudyResults) -> Table | None:
    """One row per frontier; None where no method was run at several levels."""
    found = frontiers(results)
    if all(len(each.arms) < 2 for each in found):
        return None
    base = str(results.baseline_arm)
    standing = standing_of(results.finished)
    kind = "" if standing.measured else f" ({standing.adjective})"
    by_name, shown = {each.name: each for each in found}, Shown(results.metric)
    return Table(
        schema=SCHEMA,
        records=[_record(each, standing.adjective, results.metric) for each in found],
        view={
            "method": View(
                "Method at several levels",
                text=lambda row: _title(by_name[row["method"]], base),
                note=lambda row: _count(by_name[row["method"]]),
            ),
            "energy_ratio": View(
                f"Energy{kind} at {base}'s {shown.name} relative to {base}",
                show=decimals(2),
                text=lambda row: energy_there(by_name[row["method"]].energy),
            ),
            "score_difference": View(
                f"{shown.title} at {base}'s energy against {base}",
                shown.unit_of_change,
                shown.changes,
                text=lambda row: difference_there(by_name[row["method"]].difference, shown),
            ),
            "best_difference": View("Its best level", shown.difference_unit, shown.changes),
            "n": View("n", show=decimals(0)),
        },
        title=f"Energy at the same {shown.name}",
        legend=LEGEND.format(score=shown.name),
    )


LEGEND = (
    "A method’s levels of pruning, or the lengths and widths of dense training (its own, "
    "dense_short, and small_dense with a share), are joined by those that no other level "
    "dominates. Between two neighbours the logarithm of the energy is taken to be linear in the "
    "{score}; nothing is extrapolated. “At most” and “at least”: every level is beyond the "
    "target, so the nearest is a bound. “Not reached”: on average no level gets there. Everything "
    "is paired by seed over the seeds that all levels share; below are 95 % Student-t intervals, "
    "those of energies with the error of the sensors."
)


def matched_frame(results: StudyResults) -> pd.DataFrame:
    """The same for programs; without any row where there is no table."""
    table = matched(results)
    return table.frame() if table else pd.DataFrame()


def _record(frontier: Frontier, kind: str, metric: Metric) -> Record:
    own = 1 / metric.factor
    return {
        "method": frontier.name,
        "levels": _listed(frontier.arms),
        "energy_status": frontier.energy.status,
        "energy_ratio": frontier.energy.value,
        "energy_between": _listed(frontier.energy.between),
        "score_status": frontier.difference.status,
        "score_difference": frontier.difference.value.scaled(own),
        "score_between": _listed(frontier.difference.between),
        "best_difference": frontier.best.scaled(own),
        "energy_kind": kind,
        "n": frontier.best.n,
    }


def _listed(arms: Sequence[str]) -> str:
    return "; ".join(arms)


def _title(frontier: Frontier, baseline: str) -> str:
    dense = frontier.name == baseline and len(frontier.arms) > 1
    return f"{baseline}, other lengths and widths" if dense else frontier.name


def _count(frontier: Frontier) -> str:
    count = len(frontier.arms)
    return f"{count} levels, {len(frontier.front)} on the frontier" if count > 1 else "one level"
