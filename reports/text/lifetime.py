"""How inferences were measured, or what stands for that, in the words of tables and captions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.statistics.energy_kind import standing_of
from reports.text.phrases import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.data import StudyResults
    from reports.statistics.break_even import BreakEven
    from reports.statistics.lifetime import Inferences

UNMEASURED = "test pass"


def inference_basis(each: BreakEven) -> str:
    """How an arm's inferences were measured."""
    return "; ".join(each.each.how) or UNMEASURED


def inferences_text(results: StudyResults, found: Sequence[BreakEven]) -> str:
    """What an inference is, of which arms it was measured, and what it bears."""
    known = [each for each in found if each.inferences]
    measured = [each for each in known if each.each.measured]
    parts = ["what the whole recipe costs above dense, over what each inference saves."]
    if measured:
        ways = "; ".join(dict.fromkeys(way for each in measured for way in each.each.how))
        whose = "" if len(measured) == len(known) else f" of {listed(e.arm for e in measured)}"
        parts.append(f"Those{whose} are as the command inference measured them ({ways}).")
        parts += [devices_text(results, each.each) for each in measured]
    if len(measured) < len(known):
        others = f" of {listed(e.arm for e in known if e not in measured)}" if measured else ""
        parts.append(
            f"Those{others} were not measured: a sample of the one pass over the test set, in the "
            "training framework, stands for them as an estimate; “python -m harness inference” "
            "measures them."
        )
    parts.append(retraining_text(results))
    return " ".join(dict.fromkeys(filter(None, parts)))


def devices_text(results: StudyResults, used: Inferences) -> str:
    """What two devices, or an estimate beside a measurement, mean for the numbers."""
    parts = []
    if used.elsewhere:
        another = "another device of that name" if used.trained_on == used.used_on else used.used_on
        allowed = "" if math.isnan(used.doubt) else ", so the intervals allow for both"
        parts.append(
            f"Trained on {used.trained_on}, used on {another}: the gains of two devices do not "
            f"cancel{allowed}."
        )
    elif used.gain:
        parts.append(
            "Training and inference kept unequally many threads busy, which the intervals allow "
            "for: the estimate assumes one power per thread."
        )
    if used.kinds != standing_of(results.finished):
        parts.append(f"The energy of inferences is {used.kinds.adjective}.")
    return " ".join(parts)


def retraining_text(results: StudyResults) -> str:
    """What each inference bears of retraining; empty where networks are not retrained."""
    if not results.retrainings_per_year or not results.inferences_per_day:
        return ""
    return (
        f"At {results.inferences_per_day:,.6g} inferences a day and "
        f"{results.retrainings_per_year:g} retrainings a year, each of which runs the whole recipe "
        "again, every inference bears its share of these."
    )
