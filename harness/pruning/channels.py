"""From a network to its channel groups, from scores to a channel mask, and the removal.

Groups are read off the graph of one forward pass (`harness.pruning.dependency`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from harness.pruning.attention import Attention
from harness.pruning.channel_mask import ChannelMask
from harness.pruning.converted_attention import convert_attention
from harness.pruning.dependency import candidate_groups, without_scale
from harness.pruning.gates import GATE, add_gate
from harness.pruning.groups import ChannelGroup
from harness.pruning.removal import (
    computes_the_same,
    exact_copy,
    example_of,
    removable,
    remove,
    removes_cleanly,
)

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
        raise ValueError(
            f"{type(network).__name__} has no channels, neurons or heads that can be removed: none "
            "have a scale (BatchNorm, GroupNorm or a gate) that silences them"
        )
    return groups


@dataclass(frozen=True)
class Gates:
    """What a network needs for its units to have a scale; nothing if they have.

    Attributes:
        layers: Names of the layers that get a gate, in order.
        converts: Whether attention of other libraries becomes the harness's own first.
    """

    layers: tuple[str, ...] = ()
    converts: bool = False

    def insert(self, network: nn.Module) -> nn.Module:
        """Change a network in place; what it computes stays."""
        if self.converts:
            convert_attention(network)
        for name in self.layers:
            parent = network.get_submodule(name.rpartition(".")[0])
            add_gate(
                network.get_submodule(name),
                parent.head_size if isinstance(parent, Attention) else 1,
            )
        return network


def missing_gates(network: nn.Module, example: Tensor) -> Gates:
    """The gates with which every unit that can be removed has a scale.

    Attention is converted only where it then computes the same, and a gate is kept only where
    removing what it silences has the effect of silencing it: both are tried on a copy.

    Args:
        network: Left as it is.
        example: A batch of inputs; the first one is used.

    Raises:
        ValueError: The network cannot be run, or not be traced.
    """
    sample, exact = example_of(example), exact_copy(network)
    converted = convert_attention(exact_copy(network))
    try:
        converts = computes_the_same(exact, converted, sample)
    except Exception as error:
        raise ValueError(
            f"{type(network).__name__} cannot compute one sample: {type(error).__name__}: {error}"
        ) from error
    tried = converted if converts else exact
    layers = without_scale(tried, sample)
    layers += [
        f"{name}.o".lstrip(".")
        for name, each in tried.named_modules()
        if isinstance(each, Attention)
    ]
    Gates(tuple(layers)).insert(tried)
    candidates = candidate_groups(tried, sample)
    groups = removable(tried, candidates, sample) if candidates else []
    silencing = {member.layer for group in groups for member in group.norms}
    return Gates(tuple(each for each in layers if f"{each}.{GATE}" in silencing), converts)


def threshold_mask(
    scores: Mapping[str, Tensor],
    threshold: float,
    min_channels: int = 0,
    round_to: int = 1,
    groups: Collection[ChannelGroup] = (),
) -> ChannelMask:
    """Keep what scores strictly above `threshold`; then raise widths to floor and multiple.

    Args:
        scores: A one-dimensional tensor a group.
        threshold: In the unit of the scores.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple in channels, rounded up; never above the group's width. What is
            kept beyond the threshold is the best of the rest.
        groups: The groups, where units may be several channels wide.
    """
    by_name = {group.name: group for group in groups}
    layers = {}
    for name, score in scores.items():
        group = by_name.get(name, ChannelGroup(name, len(score), ()))
        above, multiple = int((score > threshold).sum()), group.multiple(round_to)
        width = max(-(-above // multiple) * multiple, group.floor(min_channels))
        best = score.argsort(descending=True, stable=True)[: min(width, len(score))]
        kept = torch.zeros(len(score), dtype=torch.bool)
        kept[best] = True
        layers[name] = "".join("1" if keep else "0" for keep in kept.tolist())
    return ChannelMask(layers)


def global_mask(
    scores: Mapping[str, Tensor],
    prune_ratio: float,
    min_channels: int = 0,
    round_to: int = 1,
    groups: Collection[ChannelGroup] = (),
    *,
    ratios: Mapping[str, float] = MappingProxyType({}),
    by_layer: Collection[str] = (),
) -> ChannelMask:
    """Drop the share `prune_ratio` of the units of each kind by one threshold.

    Heads have a threshold of their own, and so have neurons, since their scales are not on one
    scale (EarlyBERT, Chen et al., ACL 2021). What else is kept: see `threshold_mask`.

    Args:
        scores: A one-dimensional tensor a group.
        prune_ratio: Share of the units under the threshold, 0 <= ratio < 1.
        min_channels: Floor of channels a group keeps.
        round_to: Width multiple in channels, rounded up.
        groups: The groups, where units are of several kinds or several channels wide.
        ratios: By kind, the share where it is another one.
        by_layer: Kinds of which each group has a threshold of its own.
    """
    kinds = {group.name: group.kind for group in groups}
    pools: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, score in scores.items():
        kind: str = kinds.get(name, "channel")
        pools.setdefault((kind, name if kind in by_layer else ""), {})[name] = score
    layers: dict[str, str] = {}
    for (kind, _), same in pools.items():
        everything = torch.cat(list(same.values())).sort().values
        threshold = float(everything[int(len(everything) * ratios.get(kind, prune_ratio))])
        layers |= threshold_mask(same, threshold, min_channels, round_to, groups).layers
    return ChannelMask({name: layers[name] for name in scores})


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
