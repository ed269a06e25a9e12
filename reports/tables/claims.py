"""The claims table: what was published, what was measured, and whether they agree."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.analysis.claims import JudgedClaim, judge
from reports.analysis.standing import standing_of
from reports.tables.table import ENERGY_KIND, Table, View
from reports.wording.ratio import times, times_interval
from reports.wording.units import POINTS, fixed, signed, significant

if TYPE_CHECKING:
    from reports.data import StudyResults
    from reports.tables.table import Record

SCHEMA = Schema(
    "claims",
    "Published claims",
    "a claim",
    (
        Column("claim", "text", "What was published."),
        Column("source", "text", "Where."),
        Column("arm", "text", "The method that it is about; empty where it was not run."),
        Column("against", "text", "The method that it is compared with."),
        Column("energy_ratio_at_most", "number", "The claim's bound of the energy ratio."),
        Column(
            "accuracy_difference_at_least",
            "number",
            "The claim's bound of the difference: 0.01 is one percentage point.",
        ),
        Column(
            "energy_ratio",
            "number",
            "Energy over the other's: geometric mean, paired by seed.",
            interval=True,
        ),
        ENERGY_KIND,
        Column(
            "accuracy_difference",
            "number",
            "Test accuracy minus the other's, paired by seed.",
            interval=True,
        ),
        Column("n_energy", "integer", "Pairs of runs with a known energy ratio."),
        Column("n_accuracy", "integer", "Pairs of runs with known accuracies."),
        Column("verdict", "text", "`supported`, `not supported` or `inconclusive`."),
        Column(
            "verdict_by",
            "text",
            "The kind of energy that the verdict rests on, where no sensor measured all of it.",
        ),
        Column("reason", "text", "What decided against it, or left it open."),
    ),
)


def claims(results: StudyResults) -> Table | None:
    """One row a claim, in the study's order; None if it asks for none."""
    judged = judge(results)
    if not judged:
        return None
    standing = standing_of(results.telling)
    kind = "Measured" if standing.measured else standing.adjective.capitalize()
    return Table(
        schema=SCHEMA,
        records=[_record(each, standing.adjective) for each in judged],
        view={
            "claim": View("Claim", note=_tested),
            "source": View("Source"),
            "energy_ratio": View(
                f"{kind} energy", text=lambda row: times(row["energy_ratio"]), note=_energy
            ),
            "accuracy_difference": View("Measured accuracy", POINTS, partial(signed, decimals=2)),
            "n_energy": View("n", text=_pairs, note=_both),
            "verdict": View("Verdict", text=_verdict, note=lambda row: row["reason"]),
        },
        legend="Energy of the first method named in small print, as a ratio to the second’s, and "
        "its test accuracy minus the second’s: means over pairs of runs with the same seed, "
        "with 95 % Student-t intervals, ratios on the log scale and with what "
        "sensors add. n counts pairs. “Supported” where "
        "the whole interval of each figure satisfies the bound in small print, “not supported” "
        "where the whole of one violates it, else “inconclusive”. One pair gives no interval, "
        "pairs that are all equal show nothing, and neither does simulated energy.",
    )


def _record(each: JudgedClaim, kind: str) -> Record:
    least = each.claim.points_at_least
    return {
        "claim": each.claim.text,
        "source": each.claim.source,
        "arm": each.claim.arm,
        "against": each.claim.against,
        "energy_ratio_at_most": each.claim.energy_at_most,
        "accuracy_difference_at_least": None if least is None else least / 100,
        "energy_ratio": each.energy,
        "energy_kind": kind,
        "accuracy_difference": each.points.scaled(0.01),
        "n_energy": each.energy.n,
        "n_accuracy": each.points.n,
        "verdict": each.verdict,
        "verdict_by": each.by,
        "reason": each.why,
    }


def _tested(row: Record) -> str:
    """What of a claim is tested: two arms and the bounds."""
    bounds = []
    if row["energy_ratio_at_most"] is not None:
        bounds.append(f"energy {_at_most(row['energy_ratio_at_most'])}")
    if row["accuracy_difference_at_least"] is not None:
        least = signed(row["accuracy_difference_at_least"] * 100, 2)
        bounds.append(f"accuracy at least {least} points")
    pair = f"{row['arm'] or 'not run'} against {row['against'] or 'not run'}"
    return f"{pair}: {', '.join(bounds)}"


def _at_most(ratio: float) -> str:
    bound = f"at most {significant(ratio)}×"
    return f"{bound} ({significant(1 / ratio)}× less)" if ratio < 1 else bound


def _energy(row: Record) -> str:
    """The interval as people say it, and the ratio itself."""
    ratio = row["energy_ratio"]
    if not ratio.n:
        return ""
    within = times_interval(ratio)
    note = f"{within}; " if within else ""
    note += f"ratio {fixed(ratio.mean, 3)}"
    if ratio.bounded:
        note += f", {fixed(ratio.low, 3)} … {fixed(ratio.high, 3)}"
    return note


def _pairs(row: Record) -> str:
    return str(min(row["n_energy"], row["n_accuracy"]))


def _both(row: Record) -> str:
    """Of which figure how many, where they differ."""
    energy, accuracy = row["n_energy"], row["n_accuracy"]
    return "" if energy == accuracy else f"energy {energy}, accuracy {accuracy}"


def _verdict(row: Record) -> str:
    by = row["verdict_by"]
    return f"{row['verdict']}, by {by} energy" if by else row["verdict"]
