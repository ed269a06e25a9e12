"""Locks a file for as long as any of the processes that hold it lives.

It is an `flock`, which belongs to the open file: passed on to other processes it is held until the
last of them is gone, however they end, and never longer. The text in the file is for people only,
and meaningless while no process holds the lock.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from multiprocessing import reduction
from pathlib import Path
from typing import Any

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where results are read and nothing is run
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of file systems without locks, such as Lustre mounted without them."""
_NOT_INHERITED = getattr(os, "O_CLOEXEC", 0)
"""No program that this process starts inherits the file; on Windows none inherits any."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, by the text in the file; None where it has none."""

    process_id: int | None = None
    host: str | None = None
    since: str | None = None

    def __str__(self) -> str:
        if self.process_id is None:
            return "another process"
        return f"process {self.process_id} on {self.host} since {self.since}"


class AlreadyHeld(Exception):  # noqa: N818 - no fault: the caller decides what it means
    """Another process holds the lock."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class Hold:
    """A lock that this process holds; a child process that it is pickled to holds it, too."""

    def __init__(self, file: int, path: Path) -> None:
        self._file = file
        self._path = path

    def fileno(self) -> int:
        """The open file: a process that inherits it holds the lock as well."""
        return self._file

    def release(self) -> None:
        """Let go, and remove the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def __reduce__(self) -> tuple[Callable[..., Hold], tuple[Any, Path]]:
        return _passed_on, (reduction.DupFd(self._file), self._path)


def hold(path: Path, *, wait: bool = False) -> Hold:
    """Take the lock `path`.

    On a file system without locks, and on Windows, it is always free.

    Args:
        path: The file; its folder exists.
        wait: Wait until it is free.

    Raises:
        AlreadyHeld: Another process holds it, and `wait` is not set.
        OSError: The file cannot be written.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | _NOT_INHERITED, 0o644)
        try:
            _lock(file, wait=wait)
        except BlockingIOError:
            holder = _read(file)
            os.close(file)
            raise AlreadyHeld(holder) from None
        except BaseException:
            os.close(file)
            raise
        if _is_still(file, path):
            _write(file)
            return Hold(file, path)
        os.close(file)  # the last holder removed the name meanwhile


def holder_of(path: Path) -> Holder | None:
    """The process that holds the lock `path`; None if it is free.

    Raises:
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY | _NOT_INHERITED | getattr(os, "O_NOFOLLOW", 0))
    try:
        _lock(file, wait=False)
    except BlockingIOError:
        return _read(file)
    finally:
        os.close(file)
    return None


def _lock(file: int, *, wait: bool) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _is_still(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write(file: int) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = Holder(os.getpid(), platform.node(), since)
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(asdict(holder)).encode())


def _read(file: int) -> Holder:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        holder = json.loads(os.read(file, 4096))
        return Holder(int(holder["process_id"]), str(holder["host"]), str(holder["since"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Holder()


def _passed_on(file: Any, path: Path) -> Hold:
    return Hold(file.detach(), path)
