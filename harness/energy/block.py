"""One measurement of a program by itself: its recorder, its windows, and what was found."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import threading
import weakref
from dataclasses import replace
from pathlib import Path

from harness.energy.live import LiveEnergy
from harness.energy.measurement import Measured, Measurement
from harness.energy.meter import MeterSetup
from harness.energy.meters.estimate import watts_per_thread
from harness.energy.meters.visible import visible_gpus
from harness.energy.named_windows import WindowEnergy, by_window
from harness.energy.trace import Trace
from harness.settings import EnergySettings

_watts_lock = threading.Lock()
_watts = functools.cache(watts_per_thread)


class Block:
    """Open from its making until it is closed, in the process that made it.

    In a process forked meanwhile it is neither open nor closed: there nothing happens.

    Args:
        settings: Which sensors, and how often.
        trace: Where the raw readings go; None for a file that is gone afterwards.

    Attributes:
        trace: As it was given.
        is_closed: Whether it was closed.

    Raises:
        MeasurementError: The recorder does not start.
    """

    def __init__(self, settings: EnergySettings, trace: Path | None) -> None:
        self._owner = os.getpid()
        self.trace = trace
        self.is_closed = False
        self._begun: dict[str, int] = {}
        self._ended: list[tuple[str, int, int]] = []
        with _watts_lock:  # importing CodeCarbon redirects the output of all threads
            watts, note = _watts()
        visible = visible_gpus()
        self._notes = (visible.note,) if visible.note else ()
        setup = MeterSetup(os.getpid(), visible.gpus, watts, note)
        folder = tempfile.mkdtemp(prefix="energy-harness-")
        self._clear = weakref.finalize(self, _clear, folder, self._owner)
        written = trace or Path(folder) / "trace.jsonl"
        written.unlink(missing_ok=True)
        self._measurement = Measurement(written, settings, setup)
        self._live = LiveEnergy(written)
        self._measurement.__enter__()
        _wait_for_gpus()
        self._measurement.open_window()

    @property
    def is_open(self) -> bool:
        """Whether it measures, and that is this process's to end."""
        return not self.is_closed and os.getpid() == self._owner

    def begin(self, name: str) -> bool:
        """Open a window; False if one of that name is open."""
        if not self.is_open:
            return True
        if name in self._begun:
            return False
        _wait_for_gpus()
        self._begun[name] = self._measurement.mark()
        return True

    def end(self, name: str, called: str | None = None) -> bool:
        """Close a window, to be found under another name if `called` says so; False if none."""
        if not self.is_open:
            return True
        if name not in self._begun:
            return False
        _wait_for_gpus()
        self._ended.append((called or name, self._begun.pop(name), self._measurement.mark()))
        return True

    def close(self) -> tuple[Measured | None, dict[str, WindowEnergy]] | None:
        """Close all windows and work out what was found; None in another process."""
        if not self.is_open:
            return None
        self.is_closed = True
        try:
            _wait_for_gpus()
            for name in list(self._begun):
                self._ended.append((name, self._begun.pop(name), self._measurement.mark()))
            self._measurement.close_window()
        finally:
            self._measurement.__exit__(None, None, None)
            self._clear()
        found = self._measurement.result
        windows = by_window(self._measurement.recorded, self._ended)
        self._measurement.recorded = Trace()  # a context may hold the block for long
        return found and replace(found, notes=(*self._notes, *found.notes)), windows

    def so_far_j(self) -> float:
        """About how much was drawn since the recorder reads."""
        self._live.update()
        return self._live.energy_j


def _clear(folder: str, owner: int) -> None:
    """Remove a folder, unless this process was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_gpus() -> None:
    """Wait for all work that torch has queued, if torch is used at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)
