"""Groups of units that can only be removed together, and the scales that score them.

A unit is one channel nearly everywhere; see `harness.pruning.gates` for the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from harness.pruning.gates import Gate

Kind = Literal["channel", "neuron", "head"]
"""What a unit is: channels of convolutions, hidden neurons of a feed-forward block, or a head of
attention."""

Role = Literal["norm", "out", "in"]


@dataclass(frozen=True)
class Member:
    """One layer's part in a channel group.

    Attributes:
        layer: The layer's name in the network.
        role: "norm" for the channels of a layer with a scale; "out" and "in" for the outputs and
            inputs of a convolution or a linear layer. Those of a depthwise convolution, which go
            together, are "out", and so is what attention itself holds of each head.
        index: The layer's channels, inputs or outputs that belong to the group.
        channel: For each of them the unit of the group. Several may belong to the same unit, as
            where a convolution is flattened into a linear layer.
    """

    layer: str
    role: Role
    index: tuple[int, ...]
    channel: tuple[int, ...]

    def of_channels(self, channels: set[int]) -> list[int]:
        """The layer's indices that belong to `channels` of the group."""
        pairs = zip(self.index, self.channel, strict=True)
        return [index for index, channel in pairs if channel in channels]


@dataclass(frozen=True)
class ChannelGroup:
    """Units that lose the same numbers wherever they occur.

    Attributes:
        name: The name of its first layer with a scale. Under a concatenation it holds only some of
            that layer's channels.
        size: How many units it has.
        members: Every layer that holds them.
        width: How many channels in memory a unit is: the size of a head, the channels that
            GroupNorm normalises together, else 1.
        kind: What a unit is.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    width: int = 1
    kind: Kind = "channel"

    @property
    def norms(self) -> tuple[Member, ...]:
        """The layers with a scale among the members."""
        return tuple(member for member in self.members if member.role == "norm")

    def floor(self, min_channels: int) -> int:
        """The fewest units that are at least `min_channels` channels."""
        return -(-min_channels // self.width)

    def multiple(self, round_to: int) -> int:
        """The fewest units whose channels are a multiple of `round_to`."""
        return round_to // math.gcd(round_to, self.width)


ScaledNorm = _BatchNorm | _InstanceNorm | nn.GroupNorm
Scaled = ScaledNorm | Gate


def scaled_norms(network: nn.Module) -> dict[str, ScaledNorm]:
    """The layers that normalise channels or groups of them and have a scale, by name, in order.

    Not LayerNorm: its mean is over all channels, so that removing some changes the others.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, ScaledNorm) and module.affine
    }


def scales(network: nn.Module) -> dict[str, Scaled]:
    """The layers whose weight is the scale of units: normalisations and gates, in order."""
    norms = scaled_norms(network)
    return {
        name: module
        for name, module in network.named_modules()
        if name in norms or isinstance(module, Gate)
    }


def weights_of(layer: nn.Module, role: Role) -> Tensor | None:
    """The weights that make each output of a layer, or read each input, without gradients.

    Returns:
        Shape (channels, weights); None for depthwise convolutions, which neither make nor read more
        than themselves, and where there are no such weights.
    """
    weight = getattr(layer, "weight", None)
    if role == "norm" or not isinstance(weight, Tensor) or getattr(layer, "groups", 1) > 1:
        return None
    made = 1 if isinstance(layer, _ConvTransposeNd) else 0
    return weight.detach().transpose(0, made if role == "out" else 1 - made).flatten(1)


def gamma(layer: Scaled) -> Tensor:
    """The scale of a layer that has one."""
    scale: Tensor = layer.weight
    return scale
