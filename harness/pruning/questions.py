"""Questions that a method may ask of a network through `Inspect`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.pruning.channel_mask import ChannelMask

if TYPE_CHECKING:
    from torch import nn

    from harness.pruning.batch import Batch


UnitScore = Literal["scale", "magnitude", "taylor", "gradient_flow"]


@dataclass(frozen=True)
class bn_channel_mask:  # noqa: N801 - reads as the function it stands for
    """The channel mask by scale (Liu et al., 2017; You et al., 2020; Chen et al., 2021).

    One global threshold over all channels, `sort(|gamma|)[int(N * prune_ratio)]`; a channel stays
    if its |gamma| is strictly greater. For layers coupled by a residual connection the score is the
    mean of |gamma| over the group. Heads of attention and hidden neurons, whose scales are gates,
    have a threshold each. Then the floor and the rounding up, by the best of the rest.

    Attributes:
        prune_ratio: Share of the channels to drop.
        min_channels: Floor of channels a group keeps (0: none, as in the paper). Heads
            count by their widths.
        round_to: Width multiple, rounded up (1: none, as in the paper), likewise.
        score: What to go by: the scale, or one of `UNIT_SCORES`.
        neuron_ratio: Share of the hidden neurons to drop, where it is another one.
        heads_by_layer: Whether each layer's heads have a threshold of their own (Chen et al.).
    """

    prune_ratio: float
    min_channels: int = 0
    round_to: int = 1
    score: UnitScore = "scale"
    neuron_ratio: float | None = None
    heads_by_layer: bool = False

    def __call__(self, network: nn.Module, batch: Batch) -> ChannelMask:
        """Answer for `network`; one sample suffices for "scale" and "magnitude"."""
        from harness.pruning.channels import channel_groups, global_mask
        from harness.pruning.unit_scores import UNIT_SCORES

        groups = channel_groups(network, batch.inputs)
        scores = UNIT_SCORES[self.score](network, batch)
        ratios = {} if self.neuron_ratio is None else {"neuron": self.neuron_ratio}
        return global_mask(
            scores,
            self.prune_ratio,
            self.min_channels,
            self.round_to,
            groups,
            ratios=ratios,
            by_layer=("head",) if self.heads_by_layer else (),
        )

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        settings = asdict(self)
        unset = {"score": "scale", "neuron_ratio": None, "heads_by_layer": False}
        for key, before in unset.items():  # as before there were others
            if settings[key] == before:
                del settings[key]
        return {"bn_channel_mask": settings}

    def dummy_answer(self) -> ChannelMask:
        """A mask of no network, for planning."""
        return ChannelMask({})


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

    def dummy_answer(self) -> ChannelMask:
        """The mask itself, for planning."""
        return self.mask


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
                for group in channel_groups(network, batch.inputs)
                for kept in [max(round(self.share * group.size), 1)]
            }
        )

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        return {"uniform_channels": asdict(self)}

    def dummy_answer(self) -> ChannelMask:
        """A mask of no network, for planning."""
        return ChannelMask({})
