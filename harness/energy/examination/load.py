"""A load of known timing on this machine's GPUs, from a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOADER = "harness.training.gpu_load"
"""Switches the load; it imports torch, which this room does not."""


@dataclass
class SwitchedLoad:
    """What the loader has told so far.

    Attributes:
        note: Why there is no load, if it was wanted.
        told: When the load went on, off, on, ... (monotonic clock, ns).
    """

    note: str | None = None
    told: list[int] = field(default_factory=list)

    def switches_ns(self) -> list[int]:
        """When the load was switched, on first."""
        return list(self.told)


@contextmanager
def switched_load(*, wanted: bool) -> Iterator[SwitchedLoad]:
    """Switch a load on and off while the context lasts, if `wanted`."""
    load = SwitchedLoad()
    if not wanted:
        yield load
        return
    with subprocess.Popen(
        [sys.executable, "-m", LOADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as loader:
        ready = loader.stdout.readline().strip() if loader.stdout else ""
        if ready != "ready":
            load.note = f"no load: {ready or 'torch cannot use a GPU here'}"
        follower = threading.Thread(target=_follow, args=(loader, load), daemon=True)
        follower.start()
        try:
            yield load
        finally:
            if loader.stdin:
                loader.stdin.close()
            follower.join()


def _follow(loader: subprocess.Popen[str], load: SwitchedLoad) -> None:
    for line in loader.stdout or ():
        load.told.append(int(line))
