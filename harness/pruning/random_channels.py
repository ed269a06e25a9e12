"""The control of a channel ticket: as many channels a group, at random places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.channel_mask import ChannelMask

if TYPE_CHECKING:
    from torch import nn

    from harness.batch import Batch


@dataclass(frozen=True)
class shuffled_channels:  # noqa: N801 - reads as the function it stands for
    """A channel mask with its kept channels at random places; each group keeps its width.

    Attributes:
        mask: The mask to shuffle.
    """

    mask: ChannelMask

    def __call__(self, _network: nn.Module, _batch: Batch) -> ChannelMask:
        """Draw from torch's generator of the CPU."""
        import torch

        return ChannelMask(
            {
                name: "".join(bits[place] for place in torch.randperm(len(bits)).tolist())
                for name, bits in self.mask.layers.items()
            }
        )

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        return {"shuffled_channels": dict(self.mask.layers)}

    def invented(self) -> ChannelMask:
        """The mask itself, for planning."""
        return self.mask
