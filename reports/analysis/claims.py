"""Published claims against what was measured: supported, not supported, or inconclusive.

A claim is supported where the whole 95 % interval of everything it says satisfies its bound, not
supported where the whole interval of any of it violates its bound, else inconclusive. That all
parts must hold needs no correction for their number (the intersection-union test; Berger 1982,
Technometrics 24:4). Bounds are inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reports.analysis.accuracy import accuracy_difference
from reports.analysis.energy_kind import difference_of_kind
from reports.analysis.energy_ratio import energy_ratio
from reports.analysis.standing import standing_of
from reports.analysis.statistics import NO_WIDTH, Interval
from reports.wording.units import relative, signed

if TYPE_CHECKING:
    from reports.data import AskedClaim, StudyResults

ClaimVerdict = Literal["supported", "not supported", "inconclusive"]

_Part = tuple[ClaimVerdict, str]
"""What an interval says of its bound, and why unless it is satisfied."""

_WORST_FIRST: tuple[ClaimVerdict, ...] = ("not supported", "inconclusive", "supported")


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what the study measured of it.

    Attributes:
        claim: What was claimed.
        energy: Energy of its arm as a ratio to the other's, paired by seed.
        points: Test accuracy of its arm minus the other's, in percentage points, paired by seed.
        verdict: What the two say of the claim.
        by: The kind of energy that the verdict rests on where no sensor measured all of it, such
            as "estimated"; empty for measured energy, and where energy decided nothing.
        why: What decided against it, or left it open; empty for a supported claim.
    """

    claim: AskedClaim
    energy: Interval
    points: Interval
    verdict: ClaimVerdict
    by: str
    why: str


def judge(results: StudyResults) -> tuple[JudgedClaim, ...]:
    """Every claim that the study asks about, in its order."""
    return tuple(_judge(results, claim) for claim in results.claims)


def _judge(results: StudyResults, claim: AskedClaim) -> JudgedClaim:
    arm, against = claim.arm or "", claim.against or ""
    energy = energy_ratio(results, arm, against)
    difference = accuracy_difference(results.tested(arm), results.tested(against))
    points = difference.interval().scaled(100)
    missing = _missing(results, claim)
    if missing:
        return JudgedClaim(claim, energy, points, "inconclusive", "", missing)
    finished = results.finished
    standing = standing_of(finished[finished["arm"].isin([arm, against])])
    parts: dict[str, _Part] = {}
    if claim.energy_at_most is not None:
        unsafe = difference_of_kind(results, arm, against)
        if not unsafe and standing.simulated:
            unsafe = "of a stand-in device, which shows nothing"
        judged = judged_energy(energy, claim.energy_at_most)
        parts["energy"] = ("inconclusive", unsafe) if unsafe else judged
    if claim.points_at_least is not None:
        parts["accuracy"] = judged_accuracy(points, claim.points_at_least)
    verdict = min((part for part, _ in parts.values()), key=_WORST_FIRST.index)
    deciding = {name: why for name, (part, why) in parts.items() if part == verdict}
    by = standing.adjective if "energy" in deciding and not standing.measured else ""
    told = "; ".join(f"{name}: {why}" for name, why in deciding.items() if why)
    return JudgedClaim(claim, energy, points, verdict, by, told)


def _missing(results: StudyResults, claim: AskedClaim) -> str:
    """Why nothing of a claim can be said; empty if there is a pair of finished runs."""
    if claim.arm is None:
        return "what it is about was not run, or is several arms"
    if claim.against is None:
        return "what it is compared with was not run, or is several arms"
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


def judged_accuracy(points: Interval, at_least: float) -> _Part:
    """Whether a difference in accuracy is shown to be no smaller than claimed, and why not."""
    unsure = _unsure(points)
    if unsure:
        return "inconclusive", unsure
    if points.low >= at_least:
        return "supported", ""
    if points.high < at_least:
        return "not supported", "less than claimed"
    within = f"{signed(points.low, 2)} … {signed(points.high, 2)}"
    return "inconclusive", f"{within} includes the claimed {signed(at_least, 2)}, so undecided"


def _unsure(found: Interval) -> str:
    """Why an interval shows nothing, whatever the bound; empty if it may show something."""
    if not found.n:
        return "no seed has a known value in both"
    if found.n < 2:
        return "one pair of seeds gives no interval"
    if not found.bounded:
        return "what the sensors of different boards add is not known"
    # Two or three seeds differ equally by chance where a test set is small, and by copying.
    if not found.half_width > NO_WIDTH:
        return "equal in every seed, which gives no interval"
    return ""
