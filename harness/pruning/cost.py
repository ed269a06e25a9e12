"""What a network costs on paper: parameters and multiply-accumulate operations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.phases import Size


def size_of(network: nn.Module, example: Tensor, masks: Mapping[str, Tensor]) -> Size:
    """Count parameters, MACs of one forward pass of one sample, and the density under `masks`.

    Masked weights still take part in every product, so they count as parameters and MACs.
    """
    was_training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example[:1])
    network.train(was_training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    dropped = sum(mask.numel() - int(mask.sum()) for mask in masks.values())
    # The counter counts a multiply-accumulate as two operations.
    return Size(parameters, counter.get_total_flops() // 2, 1 - dropped / parameters)
