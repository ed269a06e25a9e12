"""The claims table: what was published, what was measured, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.analysis.claims import JudgedClaim, judge
from reports.analysis.standing import standing_of
from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.ratio import times, times_interval
from reports.wording.units import MISSING, fixed, signed, significant

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval
    from reports.data import AskedClaim, StudyResults


def claims(results: StudyResults) -> Table | None:
    """One row a claim, in the study's order; None if it asks for none."""
    judged = judge(results)
    if not judged:
        return None
    standing = standing_of(results.telling)
    kind = "Measured" if standing.measured else standing.adjective.capitalize()
    rows = [
        [
            cells.text(each.claim.text, _tested(each.claim)),
            cells.text(each.claim.source),
            _energy(each.energy),
            cells.interval(each.points, 1, 2, sign=True) if each.points.n else Cell(MISSING),
            _pairs(each),
            cells.text(_verdict(each), each.why),
        ]
        for each in judged
    ]
    header = ["Claim", "Source", f"{kind} energy", "Measured accuracy, points", "n", "Verdict"]
    return Table(
        name="claims",
        title="Published claims",
        header=header,
        rows=rows,
        legend="Energy of the first method named in small print, as a ratio to the second’s, and "
        "its test accuracy minus the second’s: means over pairs of runs with the same seed, "
        "with 95 % Student-t intervals, ratios on the log scale. n counts pairs. “Supported” where "
        "the whole interval of each figure satisfies the bound in small print, “not supported” "
        "where the whole of one violates it, else “inconclusive”. One pair gives no interval, "
        "pairs that are all equal show nothing, and neither does simulated energy.",
    )


def _tested(claim: AskedClaim) -> str:
    """What of a claim is tested: two arms and the bounds."""
    bounds = []
    if claim.energy_at_most is not None:
        bounds.append(f"energy {_at_most(claim.energy_at_most)}")
    if claim.points_at_least is not None:
        bounds.append(f"accuracy at least {signed(claim.points_at_least, 2)} points")
    pair = f"{claim.arm or 'not run'} against {claim.against or 'not run'}"
    return f"{pair}: {', '.join(bounds)}"


def _at_most(ratio: float) -> str:
    bound = f"at most {significant(ratio)}×"
    return f"{bound} ({significant(1 / ratio)}× less)" if ratio < 1 else bound


def _energy(ratio: Interval) -> Cell:
    if not ratio.n:
        return Cell(MISSING)
    within = times_interval(ratio)
    note = f"{within}; " if within else ""
    note += f"ratio {fixed(ratio.mean, 3)}"
    if ratio.bounded:
        note += f", {fixed(ratio.low, 3)} … {fixed(ratio.high, 3)}"
    return Cell(times(ratio), note, ratio.mean)


def _pairs(each: JudgedClaim) -> Cell:
    if each.energy.n == each.points.n:
        return Cell(str(each.energy.n), value=each.energy.n)
    least = min(each.energy.n, each.points.n)
    return Cell(str(least), f"energy {each.energy.n}, accuracy {each.points.n}", least)


def _verdict(each: JudgedClaim) -> str:
    return f"{each.verdict}, by {each.by} energy" if each.by else each.verdict
