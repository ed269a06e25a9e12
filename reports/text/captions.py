"""What captions share: what was measured, on what, over how many seeds, and how precisely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from reports.statistics.energy_kind import standing_of
from reports.text.units import by_factor, percent

if TYPE_CHECKING:
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
    """Finished seeds per arm, and whether that gives an interval."""
    counts = results.finished.groupby("arm")["seed"].nunique()
    if counts.empty:
        return "No finished run."
    low, high = int(counts.min()), int(counts.max())
    if high == 1:
        return "n = 1 seed per method, so no interval."
    count = str(low) if low == high else f"{low} to {high}"
    lone = " (none for a method with one seed)" if low == 1 else ""
    return f"n = {count} seeds per method; intervals are 95 % Student-t over seeds{lone}."


def basis(results: StudyResults, counted: str = "") -> str:
    """Basis of an energy figure: `counted` or `seeds`, uncertainty and provenance."""
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


def measurement_uncertainty(results: StudyResults) -> str:
    """The range of the measurement uncertainty, as shares of arms' energies; empty if unknown.

    An arm's share is the mean of its finished runs' `uncertainty_j` over that of their energy.
    """
    runs = results.finished
    numbers = runs[["uncertainty_j", "energy_j"]].apply(pd.to_numeric)
    means = numbers.groupby(runs["arm"]).mean()
    shares = (means["uncertainty_j"] / means["energy_j"]).dropna()
    if shares.empty:
        return ""
    ends = dict.fromkeys(map(within, (float(shares.min()), float(shares.max()))))
    return f"Measurement uncertainty of a run's energy (95 %): {' to '.join(ends)}."


def within(share: float) -> str:
    """An uncertainty as a share of an energy: "±3.2 %", "a factor of 2.9"."""
    return by_factor(1, share) or f"±{percent(share)} %"


@dataclass(frozen=True)
class Ticket:
    """When a run drew its ticket.

    Attributes:
        epoch: How many epochs it had trained.
        emerged: Whether its mask had come to rest; else the search had lasted as long as it may.
    """

    epoch: int
    emerged: bool

    @property
    def words(self) -> str:
        """Such as "drawn after epoch 8"."""
        if self.emerged:
            return f"drawn after epoch {self.epoch}"
        return f"taken after epoch {self.epoch}, never under ε"


def ticket_of(results: StudyResults, arm: str, seed: int) -> Ticket | None:
    """The ticket of a finished run, from the facts that its method recorded; None without them."""
    runs = results.finished
    if "ticket_epoch" not in runs:
        return None
    [row] = runs[(runs["arm"] == arm) & (runs["seed"] == seed)].to_dict("records") or [{}]
    epoch, emerged = row.get("ticket_epoch"), row.get("ticket_emerged")
    if epoch is None or pd.isna(epoch):
        return None
    return Ticket(int(epoch), emerged is None or pd.isna(emerged) or bool(emerged))


def epsilon_of(results: StudyResults, arm: str) -> float | None:
    """The mask distance up to which an arm's masks count as the same; None if it has none."""
    runs = results.finished
    if "max_distance" not in runs:
        return None
    known = pd.to_numeric(runs.loc[runs["arm"] == arm, "max_distance"]).dropna()
    return float(known.iloc[0]) if len(known) else None
