"""The doors to processes that import torch: importable by the engine without importing it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from harness.engines.place import Place
from harness.hold import Hold
from harness.own_packages import prefer_own_packages
from harness.spec import RunSpec


def work(
    folder: Path,
    channel: Connection,
    borders: Connection,
    held: Hold | None,
    place: Place,
) -> None:
    """Run `harness.worker.work`; torch is imported there, or was by the fork server.

    The run's lock lives at least as long as this process.
    """
    if place.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(place.gpus)
    from harness.worker import work

    if place.threads is not None:
        import torch

        torch.set_num_threads(place.threads)
    work(
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
    from harness.admission import why_not
    from harness.training.device import open_device

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine answers it
    prefer_own_packages()
    device = open_device(deterministic=False)
    said = filter(None, (why_not(spec, device, processes) for spec in specs))
    with suppress(BrokenPipeError):
        channel.send({"refused": list(dict.fromkeys(said))})
