"""A process that reads runs for `gather`, until the connection is closed.

Started as `python -m harness.results.reader FD`, with the file descriptor of a connection. It
receives the study's carbon first, then runs with their numbers, and sends for each its number and
its rows, or the exception that reading it raised.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from harness.errors import UsageError
from harness.results.rows import read_run


def answer(connection: Connection) -> None:
    """Read runs until the connection is closed.

    Raises:
        EOFError: The other end was closed.
        OSError: The other end was closed while sending.
    """
    carbon = connection.recv()
    while True:
        number, (folder, spec, label) = connection.recv()
        outcome: Any
        try:
            outcome = read_run(folder, spec, label, carbon)
        except Exception as error:  # noqa: BLE001 - it is raised again in the process that asked
            outcome = error
            if not isinstance(error, UsageError):
                error.add_note(f"in a process that reads runs:\n{traceback.format_exc()}")
        connection.send((number, outcome))


if __name__ == "__main__":
    with suppress(EOFError, OSError), Connection(int(sys.argv[1])) as opened:
        answer(opened)
