"""Random streams that need no saved state: each is a pure function of what it is for.

A resumed run therefore draws what the uninterrupted one would have drawn, and two methods with the
same seed see the same weights at the start and the same data in the same epoch.
"""

from __future__ import annotations

import hashlib


def stream(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run, such as `stream(0, "epoch", 3)`."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
