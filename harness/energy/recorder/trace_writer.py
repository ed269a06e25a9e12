"""Writes a trace: readings as they come, without repeats."""

from __future__ import annotations

import threading
from typing import Any

from harness.utils.jsonl import LogWriter

SILENT_NS = 1_000_000_000
"""A repeated reading is written at least this often, to show that the recorder lives."""


class TraceWriter:
    """Appends readings; of consecutive equal ones only the first and the last.

    Both moments of a change stay exact: when the old value was last seen, and the new one first.
    What cannot be written, since the disk is full, is dropped; once there is room again, a failed
    reading of each sensor records that. Several threads may write, each for its own sensor.
    """

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._written: dict[int, list[Any]] = {}
        self._held: dict[int, list[Any]] = {}
        self._dropped: str | None = None

    def event(self, line: dict[str, Any], *, durable: bool = False) -> None:
        """Append a line that is no reading."""
        with self._lock:
            self._append(line, durable=durable)

    def reading(self, sensor: int, time_ns: int, value: float | None, error: str | None) -> None:
        """Append or hold back one reading."""
        line: list[Any] = [sensor, time_ns, value, *([error] if error else [])]
        with self._lock:
            last = self._written.get(sensor)
            moved = last is None or last[2:] != line[2:]
            if not moved and last and time_ns - last[1] < SILENT_NS:
                self._held[sensor] = line
                return
            held = self._held.pop(sensor, None)
            if moved and held:
                self._append(held)
            self._append(line)
            self._written[sensor] = line

    def release(self) -> None:
        """Append readings that are held back."""
        with self._lock:
            for line in self._held.values():
                self._append(line)
            self._held.clear()

    def _append(self, line: Any, *, durable: bool = False) -> None:
        try:
            if self._dropped is not None and isinstance(line, list):
                for sensor in self._written:
                    self._log.append([sensor, line[1], None, f"not written: {self._dropped}"])
                self._dropped = None
            self._log.append(line, durable=durable)
        except OSError as error:
            self._dropped = error.strerror or type(error).__name__
