"""Exit when the parent process dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import connection, forkserver, parent_process
from typing import Any

STOPPED = 143
"""Exit code after SIGTERM: stopped from outside, to be resumed."""
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Exit this process when its parent is gone.

    A thread waits for that. On Linux the kernel does, too: it kills the process when the fork
    server that it comes from ends, which ends with the process that started it; a thread alone
    would not run while the training is stopped, or holds the interpreter.
    """
    if sys.platform == "linux":
        _let_fork_server_go()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(STOPPED)

    threading.Thread(target=wait, daemon=True).start()


def _let_fork_server_go() -> None:
    # The server runs until this file is closed by all, and every process that it forks has it.
    server: Any = vars(forkserver).get("_forkserver")  # there is no public way
    with suppress(AttributeError, TypeError, OSError):
        os.close(server._forkserver_alive_fd)  # noqa: SLF001
        server._forkserver_alive_fd = None  # noqa: SLF001
