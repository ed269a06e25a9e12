"""From a network to its channel groups and scores, and from scores to a channel mask.

Groups are read off the graph of one forward pass.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
import torch_pruning as tp
from torch import Tensor, nn

from harness.pruning.channel_mask import ChannelMask
from harness.pruning.groups import ChannelGroup, Member, gamma, scaled_batch_norms
from harness.pruning.removal import exact_copy, example_of, removable, remove, removes_cleanly

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


_WITHOUT_WEIGHTS = {
    tp.ops.OPTYPE.CONCAT,
    tp.ops.OPTYPE.ELEMENTWISE,
    tp.ops.OPTYPE.EXPAND,
    tp.ops.OPTYPE.RESHAPE,
    tp.ops.OPTYPE.SLICE,
    tp.ops.OPTYPE.SPLIT,
    tp.ops.OPTYPE.UNBIND,
}


def dependency_graph(network: nn.Module, example: Tensor) -> tp.DependencyGraph:
    """How the layers depend on each other, traced on one example input (Fang et al., CVPR 2023).

    Args:
        network: A copy to spare: it is left in evaluation mode with no parameter frozen.
        example: A batch of inputs; the first one is used.

    Raises:
        ValueError: The network does something that cannot be traced.
    """
    network.requires_grad_(True)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            return tp.DependencyGraph().build_dependency(
                network, example[:1], forward_fn=lambda module, inputs: module(inputs)
            )
    except Exception as error:
        raise ValueError(
            f"how the channels of {type(network).__name__} depend on each other cannot be traced:"
            f" {type(error).__name__}: {error}"
        ) from error


def candidate_groups(network: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """The groups of channels that the graph holds for removable, in the order of the network.

    For each BatchNorm layer in order, the channels in no group so far form the next one. Left out
    are channels that reach the network's output, a grouped convolution that is not depthwise, or a
    layer other than convolution, linear and BatchNorm with a scale; and weights that are shared or
    computed.

    Args:
        network: A copy to spare; see `dependency_graph`.
        example: A batch of inputs.
    """
    norms = scaled_batch_norms(network)
    if not norms:
        return []
    graph = dependency_graph(network, example)
    names = {module: name for name, module in network.named_modules()}
    uses = Counter(id(own) for each in names for own in each.parameters(recurse=False))
    shared = {number for number, times in uses.items() if times > 1}
    claimed: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    groups = []
    for name, layer in norms.items():
        free = [each for each in range(layer.num_features) if each not in claimed[name, "norm"]]
        if not free or layer not in graph.module2node:
            continue
        coupled = graph.get_pruning_group(layer, tp.prune_batchnorm_out_channels, free)
        position = {channel: number for number, channel in enumerate(free)}
        removable, members = True, []
        for item in coupled:
            module = item.dep.target.module
            if _is_removable(item.dep, shared):
                role = _role(graph, item.dep)
                channels = tuple(position[root] for root in item.root_idxs)
                members.append(Member(names[module], role, tuple(item.idxs), channels))
            elif not _is_transparent(item.dep):
                removable = False
        # A channel in two groups was traced wrongly.
        removable &= all(claimed[each.layer, each.role].isdisjoint(each.index) for each in members)
        for member in members:
            claimed[member.layer, member.role].update(member.index)
        if removable:
            groups.append(ChannelGroup(name, len(free), tuple(members)))
    return groups


def _is_removable(dependency: Any, shared: set[int]) -> bool:
    module = dependency.target.module
    if not isinstance(module, nn.Module):
        return False
    own = dict(module.named_parameters(recurse=False))
    if "weight" not in own or any(id(parameter) in shared for parameter in own.values()):
        return False
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return module.groups == 1 or module.groups == module.in_channels == module.out_channels
    return isinstance(module, nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)


def _is_transparent(dependency: Any) -> bool:
    module = dependency.target.module
    of_all_channels = isinstance(module, nn.PReLU) and module.num_parameters == 1
    return of_all_channels or dependency.target.type in _WITHOUT_WEIGHTS


def _role(graph: tp.DependencyGraph, dependency: Any) -> Literal["norm", "out", "in"]:
    if dependency.target.type == tp.ops.OPTYPE.BN:
        return "norm"
    return "out" if graph.is_out_channel_pruning_fn(dependency.handler) else "in"


def shrink(network: nn.Module, mask: ChannelMask, example: Tensor) -> dict[str, Tensor]:
    """Remove in place the channels that `mask` drops, with everything coupled to them.

    Surviving weights stay bit-equal. Parameters of layers that lose something become new objects,
    without gradients, so an optimizer made before does not train them: build a new one. Before
    anything changes, the removal is tried on a copy: it must compute what the network computes
    with the dropped channels silenced.

    Args:
        network: Changed in place; modes and frozen parameters stay as they are. Weights that were
            laid out channels_last are contiguous afterwards.
        mask: Names the network's channel groups as they are now; each keeps at least one channel.
        example: A batch of inputs, to trace the network.

    Returns:
        For each parameter and buffer the flat indices (int64, on the CPU) of the entries that
        survived, in the new shape, with which `harness.pruning.removal.carried` takes an
        optimizer's state along.

    Raises:
        ValueError: The mask does not fit the network, or empties a layer; or the network is such
            that removing channels would change more than silencing them.
    """
    groups = channel_groups(network, example)
    _check(groups, mask)
    if mask.kept < mask.channels and not removes_cleanly(
        exact_copy(network), groups, mask, example_of(example)
    ):
        raise ValueError(
            f"removing channels from {type(network).__name__} would change what it computes"
            " beyond silencing them, so it is left as it was"
        )
    return remove(network, groups, mask)


def _check(groups: list[ChannelGroup], mask: ChannelMask) -> None:
    sizes = {group.name: group.size for group in groups}
    if sizes != {name: len(bits) for name, bits in mask.layers.items()}:
        raise ValueError("the channel mask is of another network than this one")
    empty = [name for name, width in mask.widths().items() if width == 0]
    if empty:
        raise ValueError(f"the channel mask leaves no channel in {', '.join(empty)}")
