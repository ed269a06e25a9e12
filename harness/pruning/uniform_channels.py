"""A thinner network: the same share of channels in every group."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.channel_mask import ChannelMask

if TYPE_CHECKING:
    from torch import nn

    from harness.batch import Batch


@dataclass(frozen=True)
class uniform_channels:  # noqa: N801 - reads as the function it stands for
    """A channel mask that keeps the same share of every group, one channel at least.

    Attributes:
        share: Share of the channels to keep, rounded to whole ones; the first of each group stay.
    """

    share: float

    def __call__(self, network: nn.Module, batch: Batch) -> ChannelMask:
        """Answer for `network`; one sample suffices."""
        from harness.pruning.channels import channel_groups

        return ChannelMask(
            {
                group.name: "1" * kept + "0" * (group.size - kept)
                for group in channel_groups(network, batch.images)
                for kept in [max(round(self.share * group.size), 1)]
            }
        )

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        return {"uniform_channels": asdict(self)}

    def invented(self) -> ChannelMask:
        """A mask of no network, for planning."""
        return ChannelMask({})
