"""The doors to processes that import torch: importable by the engine without importing it.

Where a run executes: its GPU, its threads, and whether the machine is its own.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from harness.settings.run_spec import RunSpec
from harness.training.distributed.node import ONLY, Node
from harness.utils.file_lock import Hold
from harness.utils.own_packages import prefer_own_packages


def main(
    folder: Path,
    channel: Connection,
    borders: Connection,
    held: Hold | None,
    place: Resources,
) -> None:
    """Run `harness.runner.worker.work`; torch is imported there, or was by the fork server.

    The run's lock lives at least as long as this process.
    """
    if place.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(place.gpus)
    from harness.runner.worker import main

    if place.threads is not None:
        import torch

        torch.set_num_threads(place.threads)
    main(
        folder,
        channel,
        borders,
        place.processes,
        place.node,
        one_thread_if_small=place.one_if_small,
    )
    del held


def refusals(specs: list[RunSpec], processes: int, channel: Connection) -> None:
    """Say over `channel` why this machine cannot carry out some of the runs, each reason once."""
    from harness.runner.device_check import why_not
    from harness.training.device import open_device

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine answers it
    prefer_own_packages()
    device = open_device(deterministic=False)
    said = filter(None, (why_not(spec, device, processes) for spec in specs))
    with suppress(BrokenPipeError):
        channel.send({"refused": list(dict.fromkeys(said))})


@dataclass(frozen=True)
class Resources:
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
