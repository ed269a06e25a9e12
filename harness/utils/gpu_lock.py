"""Which run uses a GPU: two never share one unless both were told to.

A lease is a locked file of the process that trains, so that it ends with it, however that ends. The
files lie in one folder of the machine, whoever runs the harness there. A container with a folder of
its own does not see what others lease; what the driver lists as running on the GPU, it may.
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
"""The folder's name, beside everybody's temporary files."""
_SHARING, _ALONE = "shared", "alone"


@contextmanager
def lease(gpus: Sequence[str], *, share: bool) -> Iterator[tuple[str, ...]]:
    """Use GPUs, and keep others from them; yields who else uses them, a text each.

    Slices of one board (MIG) are leased one by one, though they share its power.

    Args:
        gpus: Their UUIDs.
        share: Use them beside other runs that share, too.

    Raises:
        MeasurementError: Another run uses one of them, and not both are to share it.
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
            os.fchmod(held.fileno(), 0o644)  # whatever the umask: other users must find it held
    except OSError as error:
        return [f"cannot determine whether other runs use {gpu} ({error.strerror}: {folder})"]
    return [f"{gpu} is shared with {holder}" for holder in found.values()]


def _refusal(gpu: str, holder: Holder) -> str:
    return (
        f"{gpu} is used by another run: {holder}; wait for it, choose another GPU with "
        "CUDA_VISIBLE_DEVICES, or set energy.share_gpu = true for both"
    )


def _make(folder: Path) -> None:
    """Make a folder that everybody may add to; of what is there, nobody but its owner takes."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)
    if not stat.S_ISDIR(folder.lstat().st_mode):  # nor does anybody lead us elsewhere by a link
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # The folder itself is locked: a file in it may belong to another user, who cannot be asked.
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _holders(folder: Path) -> dict[Path, Holder]:
    """Who leases it now; what those have left that were killed is taken away."""
    found = {}
    for path in folder.iterdir():
        with suppress(OSError):  # another user's leftovers stay
            holder = holder_of(path)
            if holder:
                found[path] = holder
            else:
                path.unlink()
    return found
