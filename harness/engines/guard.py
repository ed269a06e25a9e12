"""What is watched while a run works, beside its progress: its limits, and others on its GPUs."""

from __future__ import annotations

import time

from harness.energy.intruders import Intruders
from harness.energy.live import LiveEnergy
from harness.engines.attempt import StopRun
from harness.engines.limits import Account, Reached, Spent
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.spec import RunSpec


class Guard:
    """Ends one attempt at one run in order when it must not go on.

    Attributes:
        reached: The limit that ended it, if one did.
    """

    def __init__(self, spec: RunSpec, folder: RunFolder, account: Account) -> None:
        self._spec = spec
        self._folder = folder
        self._account = account
        self._number = len(Journal(folder).attempts) + 1
        self._energy = LiveEnergy(folder.trace(self._number))
        alone = spec.energy.isolation == "error"
        self._intruders = Intruders(folder.trace(self._number)) if alone else None
        self._began: float | None = None
        self.reached: Reached | None = None

    def look(self) -> None:
        """Look once.

        Raises:
            StopRun: The run is to end.
        """
        intruders = self._intruders and self._intruders.look()
        if intruders:
            raise StopRun(intruders, "failed")
        if not self._account.is_limited or not self._has_begun():
            return
        self._energy.update()
        now = Spent(self._energy.energy_j, time.monotonic() - (self._began or 0.0))
        self.reached = self._account.reached(self._folder, now)
        if self.reached:
            raise StopRun(self.reached.text)

    def _has_begun(self) -> bool:
        """Whether the attempt's outer window is open: what comes before is not the run's."""
        if self._began is None and len(Journal(self._folder).attempts) == self._number:
            self._began = time.monotonic()
        return self._began is not None
