"""Whether a network without some channels still computes what it does with them silenced."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from harness.batch_norm import scaled_batch_norms
from harness.channel_mask import ChannelMask
from harness.pruning.groups import ChannelGroup
from harness.pruning.removal import remove, silence

_TOLERANCE = 1e-6


def exact_copy(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in float64 and evaluation mode, where rounding hides no error."""
    return copy.deepcopy(network).to("cpu", torch.float64).eval()


def example_of(batch: Tensor) -> Tensor:
    """The first sample of a batch, as `exact_copy` takes it."""
    return batch[:1].detach().to("cpu", torch.float64, memory_format=torch.contiguous_format)


@torch.no_grad()
def removes_cleanly(
    network: nn.Module, groups: list[ChannelGroup], mask: ChannelMask, example: Tensor
) -> bool:
    """Whether removing the channels that `mask` drops has the effect of silencing them.

    Args:
        network: An `exact_copy` to spare.
        groups: Its groups that `mask` names.
        mask: What to drop.
        example: One sample, see `example_of`.
    """
    silence(network, groups, mask)
    silenced = network(example)
    remove(network, groups, mask)
    try:
        removed = network(example)
    except (RuntimeError, ValueError, IndexError):
        return False
    if removed.shape != silenced.shape:
        return False
    if not silenced.isfinite().all():
        return True  # A diverged network shows nothing, and its run says so by itself.
    largest = float(silenced.abs().max())
    return torch.allclose(removed, silenced, rtol=0, atol=_TOLERANCE * largest)


def removable(
    network: nn.Module, groups: list[ChannelGroup], example: Tensor
) -> list[ChannelGroup]:
    """Those of `groups` that really can be removed, by trying it.

    Random channels of all groups are dropped at once; where that fails, the halves are tried, down
    to single groups. What fails is a channel traced wrongly (a shuffle), or one that is read
    without a BatchNorm in between, so that its scale does not silence it.

    Args:
        network: An `exact_copy` to spare.
        groups: Candidates.
        example: One sample, see `example_of`.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in scaled_batch_norms(network).values():
            # Scales and shifts that training has driven to zero would hide errors.
            layer.weight.uniform_(0.5, 1.5, generator=generator)
            layer.bias.uniform_(-0.5, 0.5, generator=generator)
    masks = {group.name: _random_half(group.size, generator) for group in groups}
    return _passing(network, groups, masks, example)


def _passing(
    network: nn.Module, groups: list[ChannelGroup], masks: dict[str, str], example: Tensor
) -> list[ChannelGroup]:
    mask = ChannelMask({group.name: masks[group.name] for group in groups})
    if removes_cleanly(copy.deepcopy(network), groups, mask, example):
        return groups
    if len(groups) == 1:
        return []
    half = len(groups) // 2
    return [
        *_passing(network, groups[:half], masks, example),
        *_passing(network, groups[half:], masks, example),
    ]


def _random_half(size: int, generator: torch.Generator) -> str:
    dropped = set(torch.randperm(size, generator=generator)[: size // 2].tolist())
    return "".join("0" if channel in dropped else "1" for channel in range(size))
