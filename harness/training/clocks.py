"""How far the monotonic clocks of two nodes are apart, found out by asking (Cristian, 1989)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

EXCHANGES = 32
"""The quickest of so many tells most."""


@dataclass(frozen=True)
class ClockOffset:
    """A node's clock beside the first node's.

    Attributes:
        node: Which, from 1.
        time_ns: When it was looked at, on the first node's clock.
        offset_ns: How much later the node's clock is.
        uncertainty_ns: Half of the time that the answer took: the truth is within.
    """

    node: int
    time_ns: int
    offset_ns: int
    uncertainty_ns: int


def compare_clocks(rank: int, other: int) -> tuple[int, int, int] | None:
    """Ask process `other` for its clock; what the first process finds, None for all the rest.

    Args:
        rank: The calling process; the first and `other` exchange messages, the rest go on.
        other: A process of another node.
    """
    if rank == other:
        for _ in range(EXCHANGES):
            dist.recv(torch.zeros(1, dtype=torch.int64), src=0)
            dist.send(torch.tensor([time.monotonic_ns()]), dst=0)
    if rank != 0:
        return None
    found = []
    for _ in range(EXCHANGES):
        answer = torch.zeros(1, dtype=torch.int64)
        asked_ns = time.monotonic_ns()
        dist.send(torch.zeros(1, dtype=torch.int64), dst=other)
        dist.recv(answer, src=other)
        took_ns = time.monotonic_ns() - asked_ns
        middle_ns = asked_ns + took_ns // 2
        found.append((took_ns, middle_ns, int(answer) - middle_ns))
    took_ns, middle_ns, offset_ns = min(found)
    return middle_ns, offset_ns, took_ns // 2
