"""What every caption must say: what was measured, on what, how often, and how sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.analysis.standing import standing_of
from reports.wording.uncertainty import measurement_uncertainty

if TYPE_CHECKING:
    import pandas as pd

    from reports.data import StudyResults


def words(column: pd.Series) -> list[str]:
    """The distinct non-empty texts of a column, in order of appearance."""
    texts = (str(value).strip() for value in column.dropna())
    return list(dict.fromkeys(text for text in texts if text))


def provenance(results: StudyResults) -> str:
    """Standing, scope, source and device of the energy, and an estimate's assumptions."""
    runs = results.finished
    standing = standing_of(runs)
    facts = [
        f"{label}: {', '.join(words(runs[column]))}"
        for label, column in (
            ("scope", "energy_scope"),
            ("source", "energy_source"),
            ("device", "energy_device"),
        )
        if words(runs[column])
    ]
    text = f"Energy is {standing.adjective}"
    if facts:
        text += f" ({'; '.join(facts)})"
    return f"{text}. {assumptions(results)}".strip()


def assumptions(results: StudyResults) -> str:
    """The assumptions behind energies that no sensor measured; empty if all were measured."""
    if standing_of(results.telling).measured:
        return ""
    notes = words(results.telling["energy_note"])
    return f"Assumptions: {'; '.join(note.rstrip('.') for note in notes)}." if notes else ""


def seeds(results: StudyResults) -> str:
    """How many finished seeds an arm, and what that allows."""
    counts = results.finished.groupby("arm")["seed"].nunique()
    if counts.empty:
        return "No finished run."
    low, high = int(counts.min()), int(counts.max())
    if high == 1:
        return "n = 1 seed an arm, so no interval."
    count = str(low) if low == high else f"{low} to {high}"
    lone = " (none for an arm with one seed)" if low == 1 else ""
    return f"n = {count} seeds an arm; intervals are 95 % Student-t over seeds{lone}."


def basis(results: StudyResults, counted: str = "") -> str:
    """What an energy figure rests on: `counted` or `seeds`, uncertainty and provenance."""
    parts = [counted or seeds(results), measurement_uncertainty(results), provenance(results)]
    return " ".join(filter(None, parts))


def standing(results: StudyResults) -> str:
    """How energy was found, in two words."""
    return f"{standing_of(results.finished).adjective.capitalize()} energy."


def short_basis(results: StudyResults) -> str:
    """Seeds and standing for a short caption, such as "n = 3; estimated energy."."""
    counts = results.finished.groupby("arm")["seed"].nunique()
    ends = dict.fromkeys((int(counts.min()), int(counts.max())))
    return (
        f"n = {' to '.join(map(str, ends))}; {standing(results)[0].lower()}{standing(results)[1:]}"
    )
