"""The door to a run's process: importable by the engine without importing torch."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path


def work(folder: Path, channel: Connection, borders: Connection) -> None:
    """Run `harness.worker.work`; torch is imported there, or was by the fork server."""
    from harness.worker import work

    work(folder, channel, borders)
