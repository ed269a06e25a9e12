"""When a run drew its ticket, and how a reader is told so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from reports.data import StudyResults


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
