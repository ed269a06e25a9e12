"""From a network to channel scores, and from scores to a channel mask."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from harness.batch_norm import gamma, scaled_batch_norms
from harness.channel_mask import ChannelMask
from harness.pruning.dependencies import candidate_groups
from harness.pruning.groups import ChannelGroup
from harness.pruning.parity import exact_copy, example_of, removable

_known: WeakKeyDictionary[nn.Module, tuple[object, list[ChannelGroup]]] = WeakKeyDictionary()


def channel_groups(network: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """The channels that can be removed, in groups, in the order of the network.

    Channels that cannot be removed keep their full width and are in no group: see
    `candidate_groups` and `removable`. The answer is remembered until the network's structure or
    the size of its inputs changes: finding it costs a trace and some forward passes of one sample,
    on a copy.

    Args:
        network: Left as it is.
        example: A batch of inputs; the first one is used.

    Raises:
        ValueError: There are none, or the network cannot be traced.
    """
    shapes = tuple((name, tensor.shape) for name, tensor in network.named_parameters())
    structure = (shapes, example.shape[1:])
    known, groups = _known.get(network, (None, []))
    if known != structure:
        sample = example_of(example)
        candidates = candidate_groups(exact_copy(network), sample)
        groups = removable(exact_copy(network), candidates, sample) if candidates else []
        _known[network] = (structure, groups)
    if not groups:
        raise ValueError(f"{type(network).__name__} has no BatchNorm channels that can be removed")
    return groups


def channel_scores(network: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """|gamma| of every channel, by group name, on the CPU; the mean over coupled layers."""
    scales = {
        name: gamma(layer).detach().abs().cpu()
        for name, layer in scaled_batch_norms(network).items()
    }
    scores = {}
    for group in channel_groups(network, example):
        total, layers = torch.zeros(group.size), torch.zeros(group.size)
        for member in group.norms:
            channel = torch.tensor(member.channel)
            values = scales[member.layer][list(member.index)].float()
            total.index_add_(0, channel, values)
            layers.index_add_(0, channel, torch.ones_like(values))
        scores[group.name] = total / layers
    return scores


def threshold_mask(
    scores: Mapping[str, Tensor], threshold: float, min_channels: int = 0, round_to: int = 1
) -> ChannelMask:
    """Keep what scores strictly above `threshold`; then raise widths to floor and multiple.

    Args:
        scores: A one-dimensional tensor a group.
        threshold: In the unit of the scores.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple, rounded up; never above the group's width. What is kept beyond
            the threshold is the best of the rest.
    """
    layers = {}
    for name, score in scores.items():
        above = int((score > threshold).sum())
        width = min(max(-(-above // round_to) * round_to, min_channels), len(score))
        best = score.argsort(descending=True, stable=True)[:width]
        kept = torch.zeros(len(score), dtype=torch.bool)
        kept[best] = True
        layers[name] = "".join("1" if keep else "0" for keep in kept.tolist())
    return ChannelMask(layers)


def global_mask(
    scores: Mapping[str, Tensor], prune_ratio: float, min_channels: int = 0, round_to: int = 1
) -> ChannelMask:
    """Drop the share `prune_ratio` of all channels by one threshold; see `threshold_mask`.

    Args:
        scores: A one-dimensional tensor a group.
        prune_ratio: Share of all channels under the threshold, 0 <= ratio < 1.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple, rounded up.
    """
    everything = torch.cat(list(scores.values())).sort().values
    threshold = float(everything[int(len(everything) * prune_ratio)])
    return threshold_mask(scores, threshold, min_channels, round_to)
