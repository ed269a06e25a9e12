"""The nodes that work on one run together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One of several machines; the first decides, writes and saves.

    Attributes:
        rank: Which, from 0.
        of: How many there are.
        meet: HOST:PORT of the first, where the others find it; a single one needs none.
    """

    rank: int = 0
    of: int = 1
    meet: str = "localhost:0"


ONLY = Node()
