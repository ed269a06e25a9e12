"""The device that a run trains on, its deterministic mode, and its number of CPU threads."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from harness.pruning.cost import size_of


def open_device(*, deterministic: bool, index: int | None = None) -> torch.device:
    """The GPU if torch sees one, else the CPU; call it before anything else touches the GPU.

    An Apple GPU is used where Zeus is installed, which reads its energy: without that, its work
    would be in no figure, while the energy of the CPU is estimated at least.

    Args:
        deterministic: Results repeat bit by bit; else the fastest convolutions are looked for.
        index: Which of the GPUs that torch sees, if each of several processes has its own.
    """
    # cuBLAS reads it when the first context is made.
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    if not torch.cuda.is_available():
        measured = torch.backends.mps.is_available() and find_spec("zeus") is not None
        return torch.device("mps" if measured and index is None else "cpu")
    if index is None:
        return torch.device("cuda")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def gpu_uuids(device: torch.device) -> list[str]:
    """The GPU by UUID, since CUDA's order of devices is not NVML's; none for a CPU."""
    if device.type != "cuda":
        return []
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return [uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"]


def searches_algorithms(device: torch.device) -> bool:
    """Whether the first step of every shape tries several algorithms, for later ones to be fast."""
    return device.type == "cuda" and torch.backends.cudnn.benchmark


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done everything that was queued on it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


SMALL_STEP_MACS = 1e9
"""Multiply-accumulates of one forward pass of a batch. Below, a step takes a core less than about
a tenth of a second, and threads meet hundreds of times in it (`benchmarks/threads.py`)."""


def one_thread_if_small(network: nn.Module, example: Tensor, batch_size: int) -> None:
    """Use one thread from here on, if `network` is on a CPU and too small for more.

    Asked of the dense network, so that all methods of a study and all attempts at a run decide
    alike.

    Args:
        network: The dense network.
        example: One sample as a batch, where the network is.
        batch_size: Samples of a step.
    """
    if example.device.type != "cpu" or torch.get_num_threads() == 1:
        return
    if size_of(network, example, {}).macs * batch_size < SMALL_STEP_MACS:
        torch.set_num_threads(1)
