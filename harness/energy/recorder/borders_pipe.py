"""How a run tells its recorder that a border has come: a byte on a pipe, never waiting."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from multiprocessing.connection import Connection


def announcer(borders: Connection) -> Callable[[], None]:
    """What announces a border on `borders`.

    If nobody reads any more, nothing happens: a recorder that is gone must not end the run.
    """
    file = borders.fileno()
    os.set_blocking(file, False)

    def announce() -> None:
        with contextlib.suppress(OSError):
            os.write(borders.fileno(), b"|")

    return announce
