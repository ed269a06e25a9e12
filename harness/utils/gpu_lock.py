"""Locks GPUs: two runs never share one unless both are set to.

The process that trains holds a locked file per GPU, so that the lock ends with it, however it ends.
The files are in one folder of the machine, for all users. A container with a folder of its own does
not see the locks of others; it may see their processes in the driver's list.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from harness.errors import MeasurementError
from harness.utils.file_lock import Holder, hold, holder_of

PLACE = "energy-harness-gpus"
"""The folder's name, in the machine's folder of temporary files."""
_SHARING, _ALONE = "shared", "alone"


@contextmanager
def lease(gpus: Sequence[str], *, share: bool) -> Iterator[tuple[str, ...]]:
    """Lock GPUs; yields other runs that use them, one text each.

    Slices of one board (MIG) are locked one by one, though they share its power.

    Args:
        gpus: Their UUIDs.
        share: Allow other runs that set this, too, beside this one.

    Raises:
        MeasurementError: Another run uses one of them, and not both set `share`.
    """
    with ExitStack() as leased:
        others = [text for gpu in gpus for text in _take(gpu, leased, share=share)]
        yield tuple(others)


def _take(gpu: str, leased: ExitStack, *, share: bool) -> list[str]:
    folder = Path(tempfile.gettempdir()) / PLACE / gpu
    how = _SHARING if share else _ALONE
    try:
        for each in (folder.parent, folder):
            _make(each)
        with _alone(folder):
            found = _holders(folder)
            if found and not (share and all(path.suffix == f".{_SHARING}" for path in found)):
                raise MeasurementError(_refusal(gpu, next(iter(found.values()))))
            name = f"{os.getpid()}-{time.monotonic_ns()}.{how}"
            held = hold(folder / name)
            leased.callback(held.release)
            os.fchmod(held.fileno(), 0o644)  # whatever the umask: other users must see the lock
    except OSError as error:
        return [f"cannot determine whether other runs use {gpu} ({error.strerror}: {folder})"]
    return [f"{gpu} is shared with {holder}" for holder in found.values()]


def _refusal(gpu: str, holder: Holder) -> str:
    return (
        f"{gpu} is used by another run: {holder}; wait for it, choose another GPU with "
        "CUDA_VISIBLE_DEVICES, or set energy.share_gpu = true for both"
    )


def _make(folder: Path) -> None:
    """Make a folder to which all users may add files, and only owners remove theirs."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)
    if not stat.S_ISDIR(folder.lstat().st_mode):  # a link could lead elsewhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # The folder itself is locked: a file in it may belong to another user.
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _holders(folder: Path) -> dict[Path, Holder]:
    """The holders now; files that killed processes have left are removed."""
    found = {}
    for path in folder.iterdir():
        with suppress(OSError):  # another user's leftovers stay
            holder = holder_of(path)
            if holder:
                found[path] = holder
            else:
                path.unlink()
    return found
