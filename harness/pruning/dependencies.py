"""Which channels hang together, read off the graph of one forward pass."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from typing import Any, Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from harness.batch_norm import scaled_batch_norms
from harness.pruning.groups import ChannelGroup, Member

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
