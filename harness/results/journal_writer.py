"""Writes the journal: events as they happen, each with its moment on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.utils.jsonl import LogWriter

_BORDERS = frozenset({"attempt", "border", "end"})


class JournalWriter:
    """Appends the events of one attempt.

    A border ends one energy window and begins the next, so windows tile the attempt by
    construction. A border waits for the device: work that was launched in a window is counted in
    it. Every border is announced, so that the recorder reads closely there.

    Args:
        path: The journal.
        synchronize: Waits for the device.
        meet: Waits for the other processes of the run, if there are any.
        announce: Called at every border, for the recorder.
    """

    def __init__(
        self,
        path: Path,
        synchronize: Callable[[], None],
        announce: Callable[[], None] = lambda: None,
        meet: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = LogWriter(path)
        self._synchronize = synchronize
        self._announce = announce
        self._meet = meet
        self._window: str | None = None
        self._is_open = False

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        """Append one event."""
        line = {"event": name, "time_ns": time.monotonic_ns(), **values}
        if name in _BORDERS:
            self._announce()
        # Whenever it is stopped, on its way to the disk too, an attempt that began ends, and once.
        self._is_open = self._is_open and name != "end"
        size = self._log.size
        try:
            self._log.append(line, durable=durable)
        finally:
            if name == "attempt":
                self._is_open = self._log.size > size

    def border(self, window: str) -> None:
        """Begin the energy window `window`, if it has not begun already."""
        if window != self._window:
            self._synchronize()
            self._meet()
            self._window = window
            self.event("border", window=window)

    def end(self, status: str, **values: Any) -> None:
        """Close the last window, and with it the attempt, if one has begun and not ended."""
        if not self._is_open:
            return
        self._synchronize()
        self.event("end", durable=True, status=status, **values)
        self._log.close()


class SilentJournal:
    """In place of the journal in all processes of a run but the first: waits at the same borders.

    Args:
        synchronize: Waits for the device.
        meet: Waits for the other processes.
        announce: Called at every border, for the recorder of another node.
    """

    def __init__(
        self,
        synchronize: Callable[[], None],
        meet: Callable[[], None],
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._synchronize = synchronize
        self._meet = meet
        self._announce = announce
        self._window: str | None = None

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        """Leave it to the first process."""

    def border(self, window: str) -> None:
        """Wait until all have done the work of the last window."""
        if window != self._window:
            self._synchronize()
            self._meet()
            self._announce()
            self._window = window
