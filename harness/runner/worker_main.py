"""Entry points of the processes that the scheduler starts; importable without torch.

Also `Resources`: the scheduler decides what a run may use, and the run's process applies it.
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


@dataclass(frozen=True)
class Resources:
    """What one run may use of a machine.

    Attributes:
        gpus: UUIDs of the GPUs; None for those that the environment shows.
        threads: CPU threads per process; None for as many as torch takes.
        one_if_small: Whether a process uses a single thread if the network is small.
        processes: Processes of this node that train the run together, each with a GPU of its own if
            there are any.
        node: Which node of the run this is.
        own_host: Whether no other known run uses the machine meanwhile, so that the energy of its
            processors belongs to the run.
        spare_gpus: UUIDs of further GPUs that were reserved with the machine and stay idle.
    """

    gpus: tuple[str, ...] | None = None
    threads: int | None = None
    one_if_small: bool = True
    processes: int = 1
    node: Node = ONLY
    own_host: bool = True
    spare_gpus: tuple[str, ...] = ()


def main(
    folder: Path,
    channel: Connection,
    borders: Connection,
    held: Hold | None,
    resources: Resources,
) -> None:
    """Run `harness.runner.worker.main` on the GPUs of `resources` alone.

    The run's lock, `held`, lives at least as long as this process.
    """
    if resources.gpus is not None:  # before CUDA is initialised
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(resources.gpus)
    from harness.runner import worker

    worker.main(folder, channel, borders, resources)
    del held


def refusals(specs: list[RunSpec], processes: int, channel: Connection) -> None:
    """Send over `channel` why this machine cannot carry out some of the runs, each reason once."""
    from harness.runner.device_check import why_not
    from harness.training.device import open_device

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine answers it
    prefer_own_packages()
    device = open_device(deterministic=False)
    reasons = filter(None, (why_not(spec, device, processes) for spec in specs))
    with suppress(BrokenPipeError):
        channel.send({"refused": list(dict.fromkeys(reasons))})
