"""How OpenMP's threads wait for each other: asleep. It decides when torch loads it.

By default they spin, which is quick on cores of their own. Beside other work a spinning thread
keeps a core from the one that it waits for: a small network then takes several times as long, and
the CPU time of the waiting is counted as the run's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""For GNU's OpenMP, which torch brings on Linux, and for LLVM's and Intel's, elsewhere and in
conda's builds. GNU's then does not spin at all, unless GOMP_SPINCOUNT says so."""


@contextmanager
def sleeping_threads() -> Iterator[None]:
    """The environment for processes to be started within, whose idle threads are to sleep.

    What the user has set stays.
    """
    added = {name: value for name, value in WAITING.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
