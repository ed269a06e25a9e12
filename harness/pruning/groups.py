"""Groups of channels that can only be removed together, scored by BatchNorm's scale gamma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class Member:
    """One layer's part in a channel group.

    Attributes:
        layer: The layer's name in the network.
        role: "norm" for the channels of a BatchNorm; "out" and "in" for the outputs and inputs of a
            convolution or a linear layer. Those of a depthwise convolution, which go together, are
            "out".
        index: The layer's channels, inputs or outputs that belong to the group.
        channel: For each of them the channel of the group. Several may belong to the same channel,
            as where a convolution is flattened into a linear layer.
    """

    layer: str
    role: Literal["norm", "out", "in"]
    index: tuple[int, ...]
    channel: tuple[int, ...]

    def of_channels(self, channels: set[int]) -> list[int]:
        """The layer's indices that belong to `channels` of the group."""
        pairs = zip(self.index, self.channel, strict=True)
        return [index for index, channel in pairs if channel in channels]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that lose the same numbers wherever they occur.

    Attributes:
        name: The name of its first BatchNorm layer. Under a concatenation it holds only some of
            that layer's channels.
        size: How many channels it has.
        members: Every layer that holds them.
    """

    name: str
    size: int
    members: tuple[Member, ...]

    @property
    def norms(self) -> tuple[Member, ...]:
        """The BatchNorm layers among the members."""
        return tuple(member for member in self.members if member.role == "norm")


BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def scaled_batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """The BatchNorm layers of a network that have a scale, by name, in order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, BatchNorm) and module.affine
    }


def gamma(layer: BatchNorm) -> Tensor:
    """The scale of a layer that has one, shape (channels,)."""
    scale: Tensor = layer.weight
    return scale
