"""What ends a run early: limits of energy and time, other processes on its GPUs, a pause."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.energy.live import LiveEnergy
from harness.energy.sensors.base import listed
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.run_energy import Ledger
from harness.scheduler.green_gate import GreenGate
from harness.scheduler.run_process import StopRun
from harness.settings.run_spec import RunSpec
from harness.settings.settings import Limits
from harness.utils.jsonl import LogReader


@dataclass(frozen=True)
class Spent:
    """Energy and time spent.

    Attributes:
        energy_j: Joules, measured or estimated; unknown energy counts as 0.
        time_s: Duration of the attempts.
    """

    energy_j: float = 0.0
    time_s: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.energy_j + other.energy_j, self.time_s + other.time_s)


@dataclass(frozen=True)
class LimitReached:
    """A limit that was reached.

    Attributes:
        ends_study: It was one of the whole study, not of one run.
        text: Which, for people.
        remedy: What lets the work continue.
    """

    ends_study: bool
    text: str
    remedy: str = "a higher limit"


class Budgets:
    """Energy and time that the runs of a study have spent in all attempts; any thread may call it.

    Args:
        limits: The limits of the study and of each run.
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

    def reached(self, run: RunFolder, now: Spent | None = None) -> LimitReached | None:
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
                return LimitReached(ends_study=False, text=found)
            if limits.energy_j is None and limits.time_s is None:
                return None
            whole = sum((self._of(other) for other in self._runs if other != run), own)
        found = _reached(limits.energy_j, limits.time_s, whole, "the study")
        return LimitReached(ends_study=True, text=found) if found else None

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


class Guard:
    """Ends one attempt at one run cleanly when it may not continue.

    Attributes:
        reached: The limit that ended it, if one did.
        is_paused: Whether it was ended at a checkpoint, to wait for green electricity.
    """

    def __init__(
        self, spec: RunSpec, folder: RunFolder, budgets: Budgets, gate: GreenGate | None = None
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._budgets = budgets
        self._number = len(Journal(folder).attempts) + 1
        self._energy = LiveEnergy(folder.trace(self._number))
        alone = spec.energy.isolation == "error"
        self._intruders = Intruders(folder.trace(self._number)) if alone else None
        self._disturbed: str | None = None
        self._began: float | None = None
        self._before_j = 0.0
        self._gate = gate
        self._journal = LogReader(folder.journal)
        self._saves()  # those of earlier attempts
        self.is_paused = False
        self.reached: LimitReached | None = None

    def look(self) -> None:
        """Look once.

        Raises:
            StopRun: The run is to end.
        """
        self._disturbed = (self._intruders and self._intruders.look()) or self._disturbed
        # Ended before its attempt is in the journal, the run would be one that never began.
        if self._disturbed and self._has_begun():
            raise StopRun(self._disturbed, "failed")
        pause = self._gate.why_pause() if self._gate and self._saves() else None
        if pause:
            self.is_paused = True
            raise StopRun(pause)
        if not self._budgets.is_limited or not self._has_begun():
            return
        self._energy.update()
        energy_j = self._energy.energy_j - self._before_j
        now = Spent(energy_j, time.monotonic() - (self._began or 0.0))
        self.reached = self._budgets.reached(self._folder, now)
        if self.reached:
            raise StopRun(self.reached.text)

    def _saves(self) -> bool:
        """Whether the run has saved its state since the last look."""
        lines = list(self._journal.new()) if self._gate else []
        return any(isinstance(line, dict) and line.get("event") == "checkpoint" for line in lines)

    def _has_begun(self) -> bool:
        """Whether the attempt's outer window is open: what comes before is not the run's."""
        if self._began is None and len(Journal(self._folder).attempts) == self._number:
            self._began = time.monotonic()
            self._energy.update()
            self._before_j = self._energy.energy_j
        return self._began is not None


class Intruders:
    """Finds other processes on the GPUs of one attempt, in its growing trace.

    A process that was there only before the run began has not disturbed it.
    """

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path)
        self._has_begun = False

    def look(self) -> str | None:
        """A sentence about processes that have come since the last look; None if none have."""
        found = None
        for line in self._reader.new():
            entry = line if isinstance(line, dict) else {}
            self._has_begun |= "conditions" in entry
            foreign = entry.get("state", {}).get("foreign")
            if foreign and self._has_begun:
                found = f"energy.isolation: other processes use {line['device']}: {listed(foreign)}"
        return found
