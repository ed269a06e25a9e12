"""The exponential moving average of a network's weights, which is evaluated in place of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def averaged_tensors(network: nn.Module) -> dict[str, Tensor]:
    """What is averaged, by name: all parameters, and the running statistics of normalisation.

    Other buffers are constants or counts.
    """
    statistics = {
        f"{path}.{name}".lstrip("."): value
        for path, module in network.named_modules()
        if isinstance(module, _NormBase)
        for name in ("running_mean", "running_var")
        if (value := getattr(module, name)) is not None
    }
    return {**dict(network.named_parameters()), **statistics}


def new_average(network: nn.Module) -> dict[str, Tensor]:
    """An average that begins at the network as it is, laid out as it is."""
    return {name: each.detach().clone() for name, each in averaged_tensors(network).items()}


class MovingAverage:
    """Moves an average towards a network, whose structure must stay while this is in use.

    Args:
        average: As of `new_average`; changed in place. An empty one stays empty.
        network: What is averaged.
        decay: Of the average, with every step.
    """

    def __init__(self, average: Mapping[str, Tensor], network: nn.Module, decay: float) -> None:
        tensors = averaged_tensors(network)
        self._average = list(average.values())
        self._tensors = [tensors[name].detach() for name in average]
        self._share = 1 - decay

    @torch.no_grad()
    def move(self) -> None:
        """One step of the average, in one launch for all tensors."""
        if self._average:
            torch._foreach_lerp_(self._average, self._tensors, self._share)
