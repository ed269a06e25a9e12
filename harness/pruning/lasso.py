"""Group lasso on channels (PruneTrain, Lym et al., SC 2019): its value, its weight, dead channels.

A group is all weights that read one input channel of a layer, or all that make one output channel.
As in the official code, the first convolution's inputs and the classifier's outputs belong to no
group, nor do depthwise convolutions, and the norm of a group is the root of its sum of squares plus
1e-8, which has a gradient at zero. Linear layers have groups of inputs only, unless the network has
gates: then outputs of hidden linear layers can be removed, and have groups too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.pruning.channel_mask import ChannelMask

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.pruning.batch import Batch

SMOOTHING = 1e-8

LassoWeight = tuple["Tensor", list[tuple[int, ...]]]
"""A weight, and for each of its one or two ways into groups the dimensions along which a group
runs."""


def lasso_weights(network: nn.Module) -> list[LassoWeight]:
    """The weights that have groups, in the order of the network."""
    return list(_lasso_weights(network))


def _lasso_weights(network: nn.Module) -> Iterator[LassoWeight]:
    from torch import nn

    from harness.pruning.gates import Gate

    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    has_gates = any(isinstance(layer, Gate) for layer in network.modules())
    is_first = True
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            outputs, inputs = (1, 2, 3), (0, 2, 3)
            yield layer.weight, [outputs] if is_first else [outputs, inputs]
            is_first = False
        elif isinstance(layer, nn.Linear):
            hidden = has_gates and layer is not linear[-1]
            yield layer.weight, [(1,), (0,)] if hidden else [(0,)]


def group_lasso(network: nn.Module) -> Tensor:
    """The sum of the norms of all groups, a scalar."""
    import torch

    norms = [
        (weight.square().sum(along) + SMOOTHING).sqrt().sum()
        for weight, groupings in lasso_weights(network)
        for along in groupings
    ]
    return torch.stack(norms).sum()


@dataclass(frozen=True)
class group_lasso_weight:  # noqa: N801 - reads as the function it stands for
    """The weight that makes the group lasso a given share of the total loss, as things stand.

    Attributes:
        ratio: The lasso over the sum of lasso and the task's loss, strictly between 0 and 1.
    """

    ratio: float

    def __call__(self, network: nn.Module, batch: Batch) -> float:
        """Answer for `network`, on the loss of `batch` as training would see it."""
        import copy

        import torch

        with torch.no_grad():
            # A copy, since a forward pass in training mode moves the statistics of BatchNorm.
            outputs = copy.deepcopy(network).train()(batch.inputs)
            loss = batch.loss(outputs)
            return float(self.ratio / (1 - self.ratio) * loss / group_lasso(network))

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        return {"group_lasso_weight": asdict(self)}

    def dummy_answer(self) -> float:
        """A weight of no network, for planning."""
        return 1e-4


@dataclass(frozen=True)
class dead_channels:  # noqa: N801 - reads as the function it stands for
    """The channel mask that drops the channels whose weights have all but vanished.

    A channel goes if no weight that makes it or reads it, in any layer of its group, exceeds the
    threshold. Depthwise weights do not count: they neither make nor read more than themselves.
    Then the floor and the rounding up, by the largest of the rest.

    Attributes:
        threshold: The largest magnitude of a vanished weight.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple, rounded up.
    """

    threshold: float
    min_channels: int = 1
    round_to: int = 1

    def __call__(self, network: nn.Module, batch: Batch) -> ChannelMask:
        """Answer for `network`; one sample of `batch` traces it."""
        from harness.pruning.channels import threshold_mask

        scores = largest_weights(network, batch.inputs)
        return threshold_mask(scores, self.threshold, self.min_channels, self.round_to)

    def describe(self) -> dict[str, Any]:
        """The question as JSON, for the journal."""
        return {"dead_channels": asdict(self)}

    def dummy_answer(self) -> ChannelMask:
        """A mask of no network, for planning."""
        return ChannelMask({})


def largest_weights(network: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """The largest magnitude of the weights that make or read each channel, by group name."""
    import torch

    from harness.pruning.channels import channel_groups
    from harness.pruning.groups import weights_of

    largest = {}
    for group in channel_groups(network, example):
        score = torch.zeros(group.size)
        for member in group.members:
            weights = weights_of(network.get_submodule(member.layer), member.role)
            if weights is None:
                continue
            magnitudes = weights.abs().amax(dim=1).float().cpu()
            channel, index = torch.as_tensor(member.channel), torch.as_tensor(member.index)
            score.scatter_reduce_(0, channel, magnitudes[index], "amax")
        largest[group.name] = score
    return largest
