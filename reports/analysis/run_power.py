"""The run of each arm that stands for it: what it drew over time, and for what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from reports.analysis.power import total
from reports.analysis.standing import standing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from harness.results.close_up import CloseUp
    from reports.data import StudyResults

MOST_DEVICES = 4
"""Of more devices than this their sum is told, not each one."""
_UUID_TAIL = re.compile(r"(?<=-[0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, eq=False)
class RunPower:
    """One arm's run.

    Attributes:
        arm: Its label.
        energy_j: Of the whole run.
        uncertainty_j: Of that energy (95 %).
        seen: The run in detail.
        measured: Whether sensors measured all of it.
        phases: By phase label, its energy (J) and how long it took (s).
    """

    arm: str
    energy_j: float
    uncertainty_j: float
    seen: CloseUp
    measured: bool
    phases: dict[str, tuple[float, float]]

    @property
    def seed(self) -> int:
        """Which run of its arm."""
        return self.seen.seed

    @cached_property
    def length_s(self) -> float:
        """Time worked, over all attempts."""
        return float(max(*self.seen.power["end_s"], *self.seen.windows["end_s"]))

    @cached_property
    def lines(self) -> dict[str, pd.DataFrame]:
        """Bins of power, by device; those of the sum where there are too many."""
        power = self.seen.power
        devices = [str(device) for device in dict.fromkeys(power["device"])]
        if len(devices) > MOST_DEVICES:
            return {f"sum of {len(devices)} devices": total(power)}
        return {short_name(device): power[power["device"] == device] for device in devices}

    @property
    def borders_s(self) -> list[float]:
        """Where attempts began, but the first."""
        starts: list[float] = self.seen.windows.groupby("attempt")["start_s"].min().tolist()
        return starts[1:]


def short_name(device: str) -> str:
    """A device's id without what nobody reads: of a UUID the first eight digits."""
    return _UUID_TAIL.sub("", device)


def run_powers(results: StudyResults, label: Callable[[str], str]) -> list[RunPower]:
    """The close-ups of a study that have power, in the order of its arms.

    Args:
        results: The study.
        label: The label that a phase is shown under.
    """
    found = []
    for arm in results.arms:
        seen = results.close_ups.get(arm)
        if seen is None or seen.power.empty or seen.windows.empty:
            continue
        runs = results.finished[_is_of(results.finished, arm, seen.seed)]
        phases = results.phases[_is_of(results.phases, arm, seen.seed)]
        sums = phases.groupby(phases["phase"].map(label))[["energy_j", "duration_s"]].sum()
        found.append(
            RunPower(
                arm,
                float(runs["energy_j"].iloc[0]),
                float(runs["uncertainty_j"].iloc[0]),
                seen,
                standing_of(runs).measured,
                {str(phase): (joules, seconds) for phase, joules, seconds in sums.itertuples()},
            )
        )
    return found


def _is_of(table: pd.DataFrame, arm: str, seed: int) -> pd.Series[bool]:
    return (table["arm"] == arm) & (table["seed"] == seed)
