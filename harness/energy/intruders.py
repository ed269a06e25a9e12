"""Others on a run's GPUs while it works: read off its growing trace."""

from __future__ import annotations

from pathlib import Path

from harness.energy.health import listed
from harness.log import LogReader


class Intruders:
    """Follows the trace of one attempt.

    Who was there only before the run began has not disturbed it.
    """

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path)
        self._has_begun = False

    def look(self) -> str | None:
        """Who has come since the last look, in a sentence; None if nobody has."""
        found = None
        for line in self._reader.new():
            told = line if isinstance(line, dict) else {}
            self._has_begun |= "conditions" in told
            foreign = told.get("state", {}).get("foreign")
            if foreign and self._has_begun:
                found = f"energy.isolation: other processes use {line['device']}: {listed(foreign)}"
        return found
