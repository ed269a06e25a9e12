"""Where a run executes: its GPU, its threads, and whether the machine is its own."""

from __future__ import annotations

from dataclasses import dataclass

from harness.node import ONLY, Node


@dataclass(frozen=True)
class Place:
    """What one run is given of a machine.

    Attributes:
        gpus: UUIDs of the GPUs to work on; None for what the environment shows.
        threads: CPU threads that each of its processes may use; None for as many as torch takes.
        one_if_small: Whether a process is to use one thread where the network is small.
        processes: How many processes of this node train it together, each with a GPU of its own if
            there are any.
        node: Which node of the run this is.
        own_host: Whether nothing else that we know of runs on the machine meanwhile, so that what
            its processors draw is the run's.
        spare_gpus: UUIDs of further GPUs that were handed over with the machine and stay idle.
    """

    gpus: tuple[str, ...] | None = None
    threads: int | None = None
    one_if_small: bool = True
    processes: int = 1
    node: Node = ONLY
    own_host: bool = True
    spare_gpus: tuple[str, ...] = ()
