"""How many CPU threads a network is worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.pruning.cost import size_of

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
