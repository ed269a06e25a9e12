"""Kinds of energy figure in a study (measured, estimated, simulated); whether two arms agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.energy_source import EnergyKinds as EnergyKinds

if TYPE_CHECKING:
    import pandas as pd

    from reports.data import StudyResults


def standing_of(runs: pd.DataFrame) -> EnergyKinds:
    """The standing of the energy figures in these runs."""
    known = runs.loc[runs["energy_j"].notna(), "energy_source"].dropna()
    return EnergyKinds.union(map(EnergyKinds.of_source, known.unique()))


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
