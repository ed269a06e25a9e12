"""From a network to channel scores, and from scores to a channel mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import Tensor, nn

from harness.batch_norm import gamma, scaled_batch_norms
from harness.channel_mask import ChannelMask


@dataclass(frozen=True)
class ChannelGroup:
    """BatchNorm layers whose channels can only be removed together; named by its first layer."""

    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first layer's name."""
        return self.layers[0]


def dependency_graph(network: nn.Module, example: Tensor) -> tp.DependencyGraph:
    """How the layers depend on each other, traced on one example input.

    Tracing puts the network into evaluation mode and unfreezes its parameters; both are set back.
    """
    was_training = network.training
    frozen = [parameter for parameter in network.parameters() if not parameter.requires_grad]
    graph = tp.DependencyGraph().build_dependency(network, example_inputs=example[:1])
    network.train(was_training)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return graph


def channel_groups(network: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """The groups of coupled BatchNorm layers, in the order of the network.

    Raises:
        ValueError: Layers are coupled with their channels shifted against each other (a
            concatenation), which a mask a group cannot express.
    """
    graph = dependency_graph(network, example)
    norms = {layer: name for name, layer in scaled_batch_norms(network).items()}
    groups: list[ChannelGroup] = []
    grouped: set[str] = set()
    for module, name in norms.items():
        if name in grouped:
            continue
        whole = list(range(module.num_features))
        coupled = graph.get_pruning_group(module, tp.prune_batchnorm_out_channels, whole)
        members = {name}
        for dependency, indices in coupled:
            member = norms.get(dependency.target.module)
            if member is None:
                continue
            if list(indices) != whole:
                raise ValueError(f"channels of {name} and {member} are coupled with an offset")
            members.add(member)
        grouped |= members
        groups.append(ChannelGroup(tuple(each for each in norms.values() if each in members)))
    return groups


def channel_scores(network: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """|gamma| of every channel, by group name; for coupled layers the mean over the group."""
    layers = scaled_batch_norms(network)
    return {
        group.name: torch.stack([gamma(layers[name]).detach().abs() for name in group.layers])
        .mean(dim=0)
        .cpu()
        for group in channel_groups(network, example)
    }


def global_mask(
    scores: Mapping[str, Tensor], prune_ratio: float, min_channels: int = 0, round_to: int = 1
) -> ChannelMask:
    """Keep what scores strictly above one global threshold; raise widths to floor and multiple.

    Args:
        scores: A one-dimensional tensor a group.
        prune_ratio: Share of all channels under the threshold, 0 <= ratio < 1.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple, rounded up; never above the group's width.
    """
    everything = torch.cat(list(scores.values())).sort().values
    threshold = everything[int(len(everything) * prune_ratio)]
    layers = {}
    for name, score in scores.items():
        above = int((score > threshold).sum())
        width = min(max(-(-above // round_to) * round_to, min_channels), len(score))
        best = score.argsort(descending=True, stable=True)[:width]
        kept = torch.zeros(len(score), dtype=torch.bool)
        kept[best] = True
        layers[name] = "".join("1" if keep else "0" for keep in kept.tolist())
    return ChannelMask(layers)
