"""Whether joules of two arms are of one kind, so that dividing them means something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.analysis.standing import standing_of

if TYPE_CHECKING:
    from reports.data import StudyResults


def difference_of_kind(results: StudyResults, arm: str, against: str) -> str:
    """How the energies of two arms differ in what was measured; empty if they do not.

    Only runs with the same seed are compared with each other, as in a paired ratio.
    """
    one, other = _kinds(results, arm), _kinds(results, against)
    for seed in sorted(one.keys() & other.keys()):
        for mine, theirs in zip(one[seed], other[seed], strict=True):
            if mine != theirs:
                return f"of different kinds ({mine} and {theirs})"
    return ""


def _kinds(results: StudyResults, arm: str) -> dict[int, tuple[str, str, str]]:
    """Standing, scope and device of each finished run's energy, by seed, where it is known."""
    finished = results.finished
    rows = finished[(finished["arm"] == arm) & finished["energy_j"].notna()]
    return {
        int(row["seed"]): (
            standing_of(rows.loc[[place]]).adjective,
            str(row["energy_scope"]),
            str(row["energy_device"]),
        )
        for place, row in rows.iterrows()
    }
