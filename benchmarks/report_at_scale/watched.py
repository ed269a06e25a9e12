"""A command, watched: how long it takes, and the most memory it holds with all its descendants."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import psutil

SAMPLE_S = 0.05


class Watched(NamedTuple):
    """What a command took.

    Attributes:
        wall_s: From start to end.
        cpu_s: Processor time, of descendants too.
        peak_mib: The most memory that it and its descendants held at once; pages that several of
            them share are counted once (proportional set size).
        processes: The most there were at once.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    processes: int


def watch(command: Sequence[str], folder: Path, **environment: str) -> Watched:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed; what it said is the message.
    """
    before = os.times()
    began = time.perf_counter()
    with TemporaryFile("w+") as said:
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=said, stderr=said
        )
        peak_bytes, processes = 0, 0
        while child.poll() is None:
            held = _held(child.pid)
            peak_bytes, processes = max(peak_bytes, sum(held)), max(processes, len(held))
            time.sleep(SAMPLE_S)
        wall_s = time.perf_counter() - began
        if child.returncode:
            said.seek(0)
            raise RuntimeError(said.read())
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    return Watched(wall_s, cpu_s, peak_bytes / 2**20, processes)


def _held(root: int) -> list[int]:
    """Bytes that a process and its descendants hold, one each."""
    try:
        family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    held = []
    for process in family:
        try:
            held.append(process.memory_full_info().pss)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return held
