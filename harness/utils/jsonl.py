"""Reads and appends JSON lines: the form of every raw record (journal and trace).

A line is written with one `write` call, so a process that dies leaves at most one torn line, the
last one. Reading skips a torn last line, and counts broken lines in the middle.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LogWriter:
    """Appends JSON values to a file, one line each, without a buffer."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; a torn last line of an earlier writer is ended."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = self.size
        self._torn = bool(size and os.pread(self._file, 1, size - 1) != b"\n")

    def append(self, value: Any, *, durable: bool = False) -> None:
        """Write one line; `durable` also waits until it has reached the disk.

        Raises:
            OSError: The line could not be written, or not to its end (the disk is full).
        """
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        line = b"\n" + line if self._torn else line
        written = os.write(self._file, line)
        self._torn = written != len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(self._file)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._file).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class LogReader:
    """Reads a log that may still be growing; each call of `new` continues where the last ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.torn_lines = 0

    def new(self) -> Iterator[Any]:
        """The values appended since the last call. A line without its end is left for later."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    yield json.loads(line)
                except ValueError:
                    self.torn_lines += 1


def read_log(path: Path) -> list[Any]:
    """All whole lines of a log (an empty list where there is none)."""
    return list(LogReader(path).new())
