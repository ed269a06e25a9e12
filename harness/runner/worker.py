"""The processes of one run: find the devices, wait for the recorder, run the method."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

import torch

from harness.energy.recorder.clock import announcer
from harness.errors import MeasurementError
from harness.results.folder import RunFolder
from harness.runner.attempt import RunContext, Stopped, attempt, attempt_beside
from harness.runner.worker_main import Resources
from harness.training.device import gpu_uuids, open_device
from harness.training.distributed.launch import launch
from harness.training.distributed.world import ALONE, Ranks
from harness.training.gpu_load import warm_up
from harness.utils.gpu_lock import lease
from harness.utils.own_packages import prefer_own_packages
from harness.utils.parent_death import end_with_parent
from harness.utils.signal_errors import sent_again


def main(folder_path: Path, channel: Connection, borders: Connection, resources: Resources) -> None:
    """Work on one run until it is done, fails, or is stopped.

    Args:
        folder_path: The run's folder, with its specification.
        channel: To the engine: this process sends which GPUs it uses, or why it may not use them,
            receives "go" when the recorder reads, sends when its last window is closed, and exits
            on the next message. With SIGTERM comes the reason, if there is one.
        borders: To the recorder: a byte per border between two windows.
        resources: What it may use. If several processes train the run, this one starts those of
            its node and waits for them.
    """
    if resources.threads is not None:
        torch.set_num_threads(resources.threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    prefer_own_packages()
    folder = RunFolder(folder_path)
    _redirect_output(folder.log)
    small = resources.one_if_small
    if resources.processes * resources.node.of == 1:
        _run(folder, channel, borders, small)
        return
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    launch(resources.node, resources.processes, _run_rank, folder, channel, borders, small)


def _run_rank(
    folder: RunFolder, channel: Connection, borders: Connection, one_thread_if_small: bool
) -> None:
    end_with_parent()
    _run(folder, channel, borders, one_thread_if_small, int(os.environ["LOCAL_RANK"]))
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        # The launcher has stopped it. To return would be to wait for a word of the launcher that
        # does not come any more, until the engine kills both.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _run(
    folder: RunFolder,
    channel: Connection,
    borders: Connection,
    one_thread_if_small: bool,
    rank: int | None = None,
) -> None:
    signal.signal(signal.SIGTERM, _stop)
    spec = folder.read_spec()
    device = open_device(deterministic=spec.training.deterministic, index=rank)
    try:
        # The fork server blocks it, for itself and by inheritance for its processes.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        world = ALONE if rank is None else Ranks(device)
        gpus = world.all_gather([(world.node, gpu) for gpu in gpu_uuids(device)])
        context = RunContext(
            spec,
            folder,
            device,
            world,
            tuple(gpu for _, gpu in gpus),
            one_thread_if_small,
        )
        with sent_again(signal.SIGTERM, Stopped):
            if world.leads_node:
                own = [gpu for node, gpu in gpus if node == world.node]
                _lead(context, channel, borders, own)
            else:
                _follow(context)
            world.close()
    except (Stopped, EOFError, BrokenPipeError, ConnectionResetError):
        return  # stopped before it began, or asked to exit


def _lead(context: RunContext, channel: Connection, borders: Connection, gpus: list[str]) -> None:
    """Agree with this node's engine on when to begin; on the first node, decide and write."""
    spec, world = context.spec, context.world
    try:
        with lease(gpus, share=spec.energy.share_gpu) as shared_with:
            warm_up(context.device, spec.energy.warm_up_s)
            channel.send({"gpus": gpus, "refused": None})
            if not all(world.all_gather([channel.recv() == "go"])):
                return  # stopped before it began
            others, cannot_store = world.all_gather(list(shared_with)), None
            if world.is_first:
                cannot_store = attempt(context, announcer(borders), others, lambda: _order(channel))
            else:
                attempt_beside(context, announcer(borders))
            channel.send({"cannot_store": cannot_store})
            channel.recv()
    except MeasurementError as error:
        world.all_gather([False])
        channel.send({"gpus": [], "refused": str(error)})


def _follow(context: RunContext) -> None:
    """Do the same work on another share of every batch; the first process alone reports."""
    warm_up(context.device, context.spec.energy.warm_up_s)
    nothing: list[object] = []
    if all(context.world.all_gather(nothing)):
        context.world.all_gather(nothing)
        attempt_beside(context)


def _order(channel: Connection) -> tuple[str, str | None] | None:
    """Status and reason with which the engine ends the run; None if it is not the engine."""
    if not channel.poll():
        return None
    order = channel.recv()
    return (order[0], order[1]) if isinstance(order, list) else ("interrupted", None)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(file, stream.fileno())
