"""Dividing a machine among runs: its GPUs, or shares of its CPU."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

import pynvml

from harness.energy.sensors.discover import visible_gpus
from harness.errors import UsageError
from harness.runner.worker_main import Resources


def divide_machine(
    at_once: int,
    per_run: int = 1,
    *,
    threads: int | Literal["auto"] = "auto",
    exclusive: bool = False,
) -> list[Resources]:
    """Resources for each of the runs that execute in parallel.

    Args:
        at_once: Number of parallel runs.
        per_run: GPUs per run, or processes on a machine without GPUs.
        threads: CPU threads per process; "auto" for its share of the cores, or one if the network
            is small.
        exclusive: The whole machine is reserved, with GPUs that may stay idle.

    Raises:
        UsageError: There are GPUs, but too few, or it cannot be determined which are visible.
    """
    found = _divide(at_once, per_run, exclusive=exclusive)
    if threads == "auto":
        return found
    return [replace(resources, threads=threads, one_if_small=False) for resources in found]


def _divide(at_once: int, per_run: int, *, exclusive: bool) -> list[Resources]:
    alone = at_once == 1
    if alone and per_run == 1 and not exclusive:
        return [Resources()]
    gpus = gpus_here()
    if not gpus:
        wanted = at_once * per_run
        threads = None if wanted == 1 else _share(wanted)
        resources = Resources(threads=threads, processes=per_run, own_host=alone)
        return [resources] * at_once
    used = at_once * per_run
    if used > len(gpus):
        each = "" if per_run == 1 else f" with engine.gpus_per_run = {per_run}"
        raise UsageError(f"engine.at_once = {at_once}{each}: there are {len(gpus)} GPUs")
    # NVML gives no power for a slice of a board (MIG), and the board may be another's, too.
    spare = tuple(gpu for gpu in gpus[used:] if exclusive and not gpu.startswith("MIG-"))
    starts = range(0, used, per_run)
    return [
        Resources(
            gpus=gpus[start : start + per_run],
            processes=per_run,
            own_host=alone,
            spare_gpus=spare,
        )
        for start in starts
    ]


def gpus_here() -> tuple[str, ...]:
    """UUIDs of the GPUs that CUDA_VISIBLE_DEVICES names, or of all.

    Raises:
        UsageError: It cannot be determined which it names: others may belong to other users.
    """
    shown = visible_gpus()
    if shown.unknown:
        raise UsageError(shown.unknown)
    if shown.gpus is not None:
        return shown.gpus
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        return tuple(str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)
    except pynvml.NVMLError:
        return ()


def _share(runs: int) -> int:
    """CPU threads per run."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) // runs)
    return max(1, (os.cpu_count() or 1) // runs)
