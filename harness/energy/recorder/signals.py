"""Time, and what the recorder hears of the run."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import NamedTuple, Protocol


class Clocks(NamedTuple):
    """How far other clocks are ahead of the monotonic one.

    Attributes:
        away_ns: The one that goes on while the machine is suspended.
        wall_ns: The wall clock.
    """

    away_ns: int
    wall_ns: int


class Signals(Protocol):
    """Time, and what is heard of the run."""

    stopped: bool

    def now_ns(self) -> int:
        """Monotonic clock."""
        ...

    def clocks(self) -> Clocks:
        """How far other clocks are ahead of it."""
        ...

    def wait(self, until_ns: int) -> bool:
        """Wait, but no longer than to the next word; whether a border was announced."""
        ...


class PipeSignals:
    """The end of standard input, and the pipe on which the run announces its borders."""

    def __init__(self, borders: int | None) -> None:
        self.stopped = False
        self._borders = borders
        self._sources = [sys.stdin.fileno(), *([borders] if borders is not None else [])]

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC, the clock of the run's journal."""
        return time.monotonic_ns()

    def clocks(self) -> Clocks:
        """Of Linux, CLOCK_BOOTTIME; elsewhere nothing tells of a suspension."""
        now_ns = time.monotonic_ns()
        going_on = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return Clocks(time.clock_gettime_ns(going_on) - now_ns, time.time_ns() - now_ns)

    def wait(self, until_ns: int) -> bool:
        """Wait, but no longer than to the next word; whether a border was announced."""
        seconds = max(until_ns - time.monotonic_ns(), 0) * 1e-9
        heard, _, _ = select.select(self._sources, [], [], seconds)
        if sys.stdin.fileno() in heard:
            self.stopped = True
            self._sources.remove(sys.stdin.fileno())  # from now on it would always be heard
        if self._borders in heard and self._borders is not None:
            if os.read(self._borders, 4096):
                return True
            self._sources.remove(self._borders)  # the run is gone; what started us will say so
        return False
