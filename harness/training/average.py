"""The exponential moving average of a network's weights, which is evaluated in place of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def new_average(network: nn.Module) -> dict[str, Tensor]:
    """By name, an average of all parameters that begins at the network as it is, laid out as it is.

    Buffers stay the network's own. Running statistics of BatchNorm are an average already, and an
    average of it lags behind weights that still change much.
    """
    return {name: each.detach().clone() for name, each in network.named_parameters()}


class MovingAverage:
    """Moves an average towards a network, whose structure must stay while this is in use.

    Args:
        average: As of `new_average`; changed in place. An empty one stays empty.
        network: What is averaged.
        decay: Of the average, with every step.
    """

    def __init__(self, average: Mapping[str, Tensor], network: nn.Module, decay: float) -> None:
        parameters = dict(network.named_parameters())
        self._average = list(average.values())
        self._parameters = [parameters[name].detach() for name in average]
        self._share = 1 - decay

    @torch.no_grad()
    def move(self) -> None:
        """One step of the average, in one launch for all parameters."""
        if self._average:
            torch._foreach_lerp_(self._average, self._parameters, self._share)
