"""The claims table: what was published, what was measured, and whether they agree.

A claim is supported where the whole 95 % interval of each claimed figure satisfies its bound, not
supported where the whole interval of any of them violates its bound, else inconclusive. That all
parts must hold needs no correction for their number (the intersection-union test; Berger 1982,
Technometrics 24:4). Bounds are inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from harness.results.column import Column, Schema
from reports.statistics.energy_kind import difference_of_kind, standing_of
from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.score_difference import score_difference
from reports.statistics.statistics import NO_WIDTH, Interval
from reports.tables.table import ENERGY_KIND, Table, View
from reports.text.phrases import times, times_interval
from reports.text.scores import Shown
from reports.text.units import fixed, relative, significant

if TYPE_CHECKING:
    from harness.settings.metric import Metric
    from reports.data import AskedClaim, StudyResults
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
            "score_difference_bound",
            "number",
            "The claim's bound of the difference, from below, or from above where lower is better: "
            "of accuracies, 0.01 is one percentage point.",
        ),
        Column(
            "energy_ratio",
            "number",
            "Energy over the other's: geometric mean, paired by seed.",
            interval=True,
        ),
        ENERGY_KIND,
        Column(
            "score_difference",
            "number",
            "Test score minus the other's, paired by seed.",
            interval=True,
        ),
        Column("n_energy", "integer", "Pairs of runs with a known energy ratio."),
        Column("n_score", "integer", "Pairs of runs with known scores."),
        Column("verdict", "text", "`supported`, `not supported` or `inconclusive`."),
        Column(
            "verdict_by",
            "text",
            "The kind of energy that the verdict rests on, where no sensor measured all of it.",
        ),
        Column("reason", "text", "What decided against it, or left it open."),
        Column(
            "scale",
            "text",
            "How far the study is from the published workload; empty where its file does not say.",
        ),
    ),
)


def claims(results: StudyResults) -> Table | None:
    """One row per claim, in the study's order; None if it asks for none."""
    judged = judge(results)
    if not judged:
        return None
    shown, standing = Shown(results.metric), standing_of(results.telling)
    kind = "Measured" if standing.measured else standing.adjective.capitalize()
    return Table(
        schema=SCHEMA,
        records=[_record(each, standing.adjective, results.metric) for each in judged],
        view={
            "claim": View("Claim", note=partial(_tested, shown=shown)),
            "source": View("Source"),
            "energy_ratio": View(
                f"{kind} energy", text=lambda row: times(row["energy_ratio"]), note=_energy
            ),
            "score_difference": View(f"Measured {shown.name}", shown.unit_of_change, shown.changes),
            "n_energy": View("n", text=_pairs, note=partial(_both, shown=shown)),
            "verdict": View("Verdict", text=_verdict, note=_why_and_where),
        },
        legend="Energy of the first method named in small print, as a ratio to the second’s, and "
        f"its test {shown.name} minus the second’s: means over pairs of runs with the same seed, "
        "with 95 % Student-t intervals, ratios on the log scale and with what "
        "sensors add. n counts pairs. “Supported” where "
        "the whole interval of each figure satisfies the bound in small print, “not supported” "
        "where the whole of one violates it, else “inconclusive”. One pair gives no interval, "
        "pairs that are all equal show nothing, and neither does simulated energy.",
    )


def _record(each: JudgedClaim, kind: str, metric: Metric) -> Record:
    bound = each.claim.difference_bound
    return {
        "claim": each.claim.text,
        "source": each.claim.source,
        "arm": each.claim.arm,
        "against": each.claim.against,
        "energy_ratio_at_most": each.claim.energy_at_most,
        "score_difference_bound": None if bound is None else bound / metric.factor,
        "energy_ratio": each.energy,
        "energy_kind": kind,
        "score_difference": each.difference.scaled(1 / metric.factor),
        "n_energy": each.energy.n,
        "n_score": each.difference.n,
        "verdict": each.verdict,
        "verdict_by": each.by,
        "reason": each.why,
        "scale": each.claim.scale,
    }


def _tested(row: Record, shown: Shown) -> str:
    """What of a claim is tested: two arms and the bounds."""
    bounds = []
    if row["energy_ratio_at_most"] is not None:
        bounds.append(f"energy {_at_most(row['energy_ratio_at_most'])}")
    if row["score_difference_bound"] is not None:
        bound = shown.change_text(row["score_difference_bound"])
        which = "at least" if shown.metric.higher_is_better else "at most"
        bounds.append(f"{shown.name} {which} {bound}")
    pair = f"{row['arm'] or 'not run'} against {row['against'] or 'not run'}"
    return f"{pair}: {', '.join(bounds)}"


def _at_most(ratio: float) -> str:
    bound = f"at most {significant(ratio)}×"
    return f"{bound} ({significant(1 / ratio)}× less)" if ratio < 1 else bound


def _energy(row: Record) -> str:
    """The interval as a factor, and the ratio itself."""
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
    return str(min(row["n_energy"], row["n_score"]))


def _both(row: Record, shown: Shown) -> str:
    """Of which figure how many, where they differ."""
    energy, score = row["n_energy"], row["n_score"]
    return "" if energy == score else f"energy {energy}, {shown.name} {score}"


def _verdict(row: Record) -> str:
    by = row["verdict_by"]
    return f"{row['verdict']}, by {by} energy" if by else row["verdict"]


def _why_and_where(row: Record) -> str:
    """The scale that the verdict is of, then what decided."""
    return "; ".join(part for part in (row["scale"], row["reason"]) if part)


ClaimVerdict = Literal["supported", "not supported", "inconclusive"]

_Part = tuple[ClaimVerdict, str]
"""Verdict on one bound, and the reason unless it is satisfied."""

_WORST_FIRST: tuple[ClaimVerdict, ...] = ("not supported", "inconclusive", "supported")


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what the study measured of it.

    Attributes:
        claim: What was claimed.
        energy: Energy of its arm as a ratio to the other's, paired by seed.
        difference: Test score of its arm minus the other's, as the metric shows it, paired by seed.
        verdict: Of both together.
        by: The kind of energy that the verdict rests on where no sensor measured all of it, such
            as "estimated"; empty for measured energy, and where energy decided nothing.
        why: What decided against it, or left it open; empty for a supported claim.
    """

    claim: AskedClaim
    energy: Interval
    difference: Interval
    verdict: ClaimVerdict
    by: str
    why: str


def judge(results: StudyResults) -> tuple[JudgedClaim, ...]:
    """Every claim that the study asks about, in its order."""
    return tuple(_judge(results, claim) for claim in results.claims)


def _judge(results: StudyResults, claim: AskedClaim) -> JudgedClaim:
    arm, against = claim.arm or "", claim.against or ""
    energy = energy_ratio(results, arm, against)
    tested = score_difference(results.tested(arm), results.tested(against))
    difference = tested.interval().scaled(results.metric.factor)
    absent = missing(results, claim)
    if absent:
        return JudgedClaim(claim, energy, difference, "inconclusive", "", absent)
    finished = results.finished
    standing = standing_of(finished[finished["arm"].isin([arm, against])])
    parts: dict[str, _Part] = {}
    if claim.energy_at_most is not None:
        unsafe = difference_of_kind(results, arm, against)
        if not unsafe and standing.simulated:
            unsafe = "simulated by a stand-in device, which shows nothing"
        judged = judged_energy(energy, claim.energy_at_most)
        parts["energy"] = ("inconclusive", unsafe) if unsafe else judged
    if claim.difference_bound is not None:
        parts[results.metric.name] = judged_score(
            difference, claim.difference_bound, Shown(results.metric)
        )
    verdict = min((part for part, _ in parts.values()), key=_WORST_FIRST.index)
    deciding = {name: why for name, (part, why) in parts.items() if part == verdict}
    by = standing.adjective if "energy" in deciding and not standing.measured else ""
    reason = "; ".join(f"{name}: {why}" for name, why in deciding.items() if why)
    return JudgedClaim(claim, energy, difference, verdict, by, reason)


def missing(results: StudyResults, claim: AskedClaim) -> str:
    """Why a claim cannot be tested; empty if there is a pair of finished runs."""
    if claim.arm is None:
        return "the method was not run, or is several of the study's"
    if claim.against is None:
        return "the method to compare with was not run, or is several of the study's"
    for arm in (claim.arm, claim.against):
        if arm not in results.finished_arms:
            return f"no run of {arm} has finished"
    pairs = results.by_seed(claim.arm, "energy_j").keys()
    if not pairs & results.by_seed(claim.against, "energy_j").keys():
        return "no seed has finished in both"
    return ""


def judged_energy(ratio: Interval, at_most: float) -> _Part:
    """Whether a ratio of energies is shown to be no larger than claimed, and why not."""
    unsure = _unsure(ratio)
    if unsure:
        return "inconclusive", unsure
    if ratio.high <= at_most:
        return "supported", ""
    if ratio.low > at_most:
        return "not supported", "more than claimed"
    within = f"{relative(ratio.low)} … {relative(ratio.high)}"
    return "inconclusive", f"{within} includes the claimed {relative(at_most)}, so undecided"


def judged_score(difference: Interval, bound: float, shown: Shown) -> _Part:
    """Whether a difference in score is shown to be within a claim's bound, and why not.

    Args:
        difference: As the metric shows it, in its own sign.
        bound: Likewise; the least, or the most where lower is better.
        shown: The metric.
    """
    unsure = _unsure(difference)
    if unsure:
        return "inconclusive", unsure
    sign = shown.metric.sign
    found = difference.oriented(sign)
    if found.low >= sign * bound:
        return "supported", ""
    if found.high < sign * bound:
        return "not supported", f"{'less' if sign > 0 else 'more'} than claimed"
    within = f"{shown.changes(difference.low)} … {shown.changes(difference.high)}"
    return "inconclusive", f"{within} includes the claimed {shown.changes(bound)}, so undecided"


def _unsure(found: Interval) -> str:
    """Why an interval shows nothing, whatever the bound; empty if it may show something."""
    if not found.n:
        return "no seed has a known value in both"
    if found.n < 2:
        return "one pair of seeds gives no interval"
    if not found.bounded:
        return "the error between the sensors of different boards is unknown"
    # Two or three seeds differ equally by chance where a test set is small, and by copying.
    if not found.half_width > NO_WIDTH:
        return "equal in every seed, which gives no interval"
    return ""
