"""What a study lacks whose energy must have been measured throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.results.table import Tables

LEAST_COVERAGE = 0.99
"""Of a window that counts as measured throughout, so much was observed."""
MEASURES = frozenset({"counter", "sampled"})
"""Sources of energy that a sensor measured."""


def unmeasured(tables: Tables) -> list[str]:
    """Why the energy of runs does not count as measured, a sentence a run; none is good."""
    found = []
    for row in tables.runs.to_dict("records"):
        why = _why(str(row["energy_source"]), float(row["coverage"]), str(row["energy_flags"]))
        if why:
            found.append(f"{row['arm']}, seed {row['seed']}: {why}")
    return found


def _why(source: str, coverage: float, flags: str) -> str | None:
    if not MEASURES.issuperset(source.split("+")):
        return "no sensor was read" if source == "none" else f"its energy is {source}"
    if not coverage >= LEAST_COVERAGE:
        doubts = f" ({flags})" if flags else ""
        return f"only {coverage:.1%} of its time was observed{doubts}"
    return None
