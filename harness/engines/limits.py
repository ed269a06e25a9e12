"""What a study's runs have spent, and when it is enough."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from harness.results.folder import RunFolder
from harness.results.ledger import Ledger
from harness.settings import Limits


@dataclass(frozen=True)
class Spent:
    """Energy and time of some work.

    Attributes:
        energy_j: Joules, measured or estimated; what is unknown counts as none.
        time_s: Time worked.
    """

    energy_j: float = 0.0
    time_s: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.energy_j + other.energy_j, self.time_s + other.time_s)


@dataclass(frozen=True)
class Reached:
    """A limit that was reached.

    Attributes:
        ends_study: It was one of the whole study, not of one run.
        text: Which, for people.
    """

    ends_study: bool
    text: str


class Account:
    """What every run of a study has spent in all its attempts; several threads may ask.

    Args:
        limits: When it is enough.
        runs: The folders of all runs that count.
    """

    def __init__(self, limits: Limits, runs: list[RunFolder]) -> None:
        self._limits = limits
        self._runs = runs
        self._spent: dict[RunFolder, Spent] = {}
        self._under_way: dict[RunFolder, Spent] = {}
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit at all."""
        return any(value is not None for value in self._limits.model_dump().values())

    def close(self, run: RunFolder) -> None:
        """An attempt at `run` is over: what it spent is read off its records."""
        with self._lock:
            self._spent.pop(run, None)
            self._under_way.pop(run, None)

    def reached(self, run: RunFolder, now: Spent | None = None) -> Reached | None:
        """The first limit that work on `run` has reached; None if it may go on.

        Args:
            run: The run that is worked on, or is to be.
            now: What its attempt has spent so far, which is not on record yet.
        """
        limits = self._limits
        if not self.is_limited:
            return None  # adding up what many runs have spent takes time
        with self._lock:
            self._under_way[run] = now or Spent()
            own = self._of(run)
            found = _reached(limits.run_energy_j, limits.run_time_s, own, "the run")
            if found:
                return Reached(ends_study=False, text=found)
            if limits.energy_j is None and limits.time_s is None:
                return None
            whole = sum((self._of(other) for other in self._runs if other != run), own)
        found = _reached(limits.energy_j, limits.time_s, whole, "the study")
        return Reached(ends_study=True, text=found) if found else None

    def _of(self, run: RunFolder) -> Spent:
        # What is on record is read once, before an attempt begins, so that the attempt under way
        # is not counted twice.
        if run not in self._spent:
            self._spent[run] = _recorded(run)
        return self._spent[run] + self._under_way.get(run, Spent())


def _recorded(run: RunFolder) -> Spent:
    ledger = Ledger(run)
    energy_j = ledger.outer.energy_j if ledger.sensors else 0.0
    return Spent(energy_j if math.isfinite(energy_j) else 0.0, ledger.duration_s)


def _reached(energy_j: float | None, time_s: float | None, spent: Spent, whose: str) -> str | None:
    if energy_j is not None and spent.energy_j >= energy_j:
        return f"the energy limit of {whose}, {energy_j:g} J, is reached"
    if time_s is not None and spent.time_s >= time_s:
        return f"the time limit of {whose}, {time_s:g} s, is reached"
    return None
