"""Which units of a network hang together, read off the graph of one forward pass.

Torch-Pruning traces a copy (Fang et al., CVPR 2023). In it, what a scale silences is followed to
every layer that makes or reads the same channels. Within attention nothing is traced: which rows
and columns a head has is known. Gates are no part of the graph; each belongs to a layer in it.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from harness.pruning.attention import Attention
from harness.pruning.gates import GATE, Gate, gate_of, remove_gate, takes_gate
from harness.pruning.groups import ChannelGroup, Kind, Member, Role, ScaledNorm, scales

# Torch-Pruning imports timm where it is installed, to count operations, which is not done here: a
# second at the start of every command that trains.
_is_imported = sys.modules.setdefault("timm", None) is not None  # type: ignore[arg-type]
import torch_pruning as tp  # noqa: E402

if not _is_imported:
    del sys.modules["timm"]

VERSION: str = tp.__version__
"""Of Torch-Pruning."""

_WITHOUT_WEIGHTS = {
    tp.ops.OPTYPE.CONCAT,
    tp.ops.OPTYPE.ELEMENTWISE,
    tp.ops.OPTYPE.EXPAND,
    tp.ops.OPTYPE.RESHAPE,
    tp.ops.OPTYPE.SLICE,
    tp.ops.OPTYPE.SPLIT,
    tp.ops.OPTYPE.UNBIND,
}


@dataclass(frozen=True)
class Coupling:
    """What goes with the channels of one layer.

    Attributes:
        members: The layers, and which of their channels.
        removable: Whether all of them can lose channels.
    """

    members: tuple[Member, ...]
    removable: bool

    def layers(self, role: Role) -> list[str]:
        """The names of the layers with this role."""
        return [member.layer for member in self.members if member.role == role]


class Graph:
    """How the layers of a network depend on each other.

    Args:
        network: Traced as a copy on the CPU; left as it is.
        example: A batch of inputs; the first one is used.

    Raises:
        ValueError: The network does something that cannot be traced.
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self._traced = copy.deepcopy(network).eval().requires_grad_(True)
        for module in list(self._traced.modules()):
            if gate_of(module) is not None:
                remove_gate(module)
        self._layers = dict(self._traced.named_modules())
        self._names = {module: name for name, module in self._layers.items()}
        uses = Counter(
            id(own) for each in self._traced.modules() for own in each.parameters(recurse=False)
        )
        self._shared = {number for number, times in uses.items() if times > 1}
        self._attention = {
            id(part)
            for module in self._traced.modules()
            if isinstance(module, Attention)
            for part in module.modules()
        }
        try:
            with warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")
                self._graph = tp.DependencyGraph().build_dependency(
                    self._traced,
                    example[:1],
                    forward_fn=lambda module, inputs: module(inputs),
                    verbose=False,
                )
        except Exception as error:
            raise ValueError(
                f"how the channels of {type(network).__name__} depend on each other cannot be "
                f"traced: {type(error).__name__}: {error}"
            ) from error

    def coupled(self, name: str, side: Role, channels: list[int]) -> Coupling | None:
        """What goes with `channels` of the outputs or inputs of the layer `name`.

        `Member.channel` counts within `channels`. None if the layer takes no part in what was
        traced.
        """
        layer = self._layers[name]
        if layer not in self._graph.module2node or id(layer) in self._attention:
            return None
        pruner = self._graph.get_pruner_of_module(layer)
        cut = pruner.prune_in_channels if side == "in" else pruner.prune_out_channels
        position = {channel: number for number, channel in enumerate(channels)}
        removable, members = True, []
        for item in self._graph.get_pruning_group(layer, cut, channels):
            module = item.dep.target.module
            if self._is_removable(module):
                role = self._role(item.dep)
                own = tuple(position[root] for root in item.root_idxs)
                members.append(Member(self._names[module], role, tuple(item.idxs), own))
            elif not _is_transparent(item.dep):
                removable = False
        return Coupling(tuple(members), removable)

    def _is_removable(self, module: Any) -> bool:
        if not isinstance(module, nn.Module) or id(module) in self._attention:
            return False
        own = dict(module.named_parameters(recurse=False))
        if "weight" not in own or any(id(parameter) in self._shared for parameter in own.values()):
            return False
        if isinstance(module, _ConvNd):
            return module.groups == 1 or module.groups == module.in_channels == module.out_channels
        return isinstance(module, nn.Linear | ScaledNorm)

    def _role(self, dependency: Any) -> Role:
        if isinstance(dependency.target.module, ScaledNorm):
            return "norm"
        return "out" if self._graph.is_out_channel_pruning_fn(dependency.handler) else "in"


def _is_transparent(dependency: Any) -> bool:
    module = dependency.target.module
    of_all_channels = isinstance(module, nn.PReLU) and module.num_parameters == 1
    return of_all_channels or dependency.target.type in _WITHOUT_WEIGHTS


def candidate_groups(network: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """The groups of units that the graph holds for removable, in the order of the network.

    For each layer with a scale in order, the channels in no group so far form the next one. Left
    out are channels that reach the network's output, a grouped convolution that is not depthwise,
    or a layer other than convolution, linear and normalisation with a scale of its own (LayerNorm
    is over all channels); and weights that are shared or computed.

    Args:
        network: Left as it is.
        example: A batch of inputs.

    Raises:
        ValueError: The network does something that cannot be traced.
    """
    scaled = scales(network)
    if not scaled:
        return []
    graph = Graph(network, example)
    outputs_of_heads = {
        f"{name}.o".lstrip("."): (name, module)
        for name, module in network.named_modules()
        if isinstance(module, Attention)
    }
    claimed: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    groups = []
    for name, scale in scaled.items():
        layer = name.removesuffix(f".{GATE}") if isinstance(scale, Gate) else name
        module = network.get_submodule(layer)
        if layer in outputs_of_heads:
            groups.append(_heads(*outputs_of_heads[layer]))
            continue
        side: Role = "norm" if scale is module else "in" if isinstance(module, nn.Linear) else "out"
        channels = [
            each for each in range(_channels(module, side)) if each not in claimed[layer, side]
        ]
        coupling = graph.coupled(layer, side, channels) if channels else None
        if coupling is None:
            continue
        # A channel in two groups was traced wrongly.
        removable = coupling.removable and all(
            claimed[each.layer, each.role].isdisjoint(each.index) for each in coupling.members
        )
        for member in coupling.members:
            claimed[member.layer, member.role].update(member.index)
        width = _width(network, coupling.members, len(channels))
        if removable and width:
            members = tuple(_with_gates(network, _in_units(coupling.members, width)))
            kind: Kind = "neuron" if side == "in" else "channel"
            groups.append(ChannelGroup(name, len(channels) // width, members, width, kind))
    return groups


def _channels(layer: Any, side: Role) -> int:
    if isinstance(layer, _BatchNorm | _InstanceNorm):
        return int(layer.num_features)
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels
    if isinstance(layer, nn.Linear):
        return layer.in_features if side == "in" else layer.out_features
    return int(layer.out_channels)


def _width(network: nn.Module, members: tuple[Member, ...], channels: int) -> int:
    """Channels per unit: those that GroupNorm normalises together; 0 if that is none or all."""
    widths = set()
    for member in members:
        layer = network.get_submodule(member.layer)
        if not isinstance(layer, nn.GroupNorm):
            continue
        width = layer.num_channels // layer.num_groups
        widths.add(width)
        pairs = zip(member.index, member.channel, strict=True)
        if len(member.index) % width or any(i % width != c % width for i, c in pairs):
            return 0
    if not widths:
        return 1
    width = widths.pop()
    return 0 if widths or channels % width or channels == width else width


def _in_units(members: tuple[Member, ...], width: int) -> Iterator[Member]:
    for member in members:
        units = tuple(channel // width for channel in member.channel)
        yield Member(member.layer, member.role, member.index, units)


def _with_gates(network: nn.Module, members: Iterator[Member]) -> Iterator[Member]:
    """The members, and the gates that lie on their sides."""
    for member in members:
        yield member
        layer = network.get_submodule(member.layer)
        side = "in" if isinstance(layer, nn.Linear) else "out"
        if member.role == side and gate_of(layer) is not None:
            yield Member(f"{member.layer}.{GATE}", "norm", member.index, member.channel)


def _heads(path: str, attention: Attention) -> ChannelGroup:
    """The heads of attention that has a gate, with their rows, columns and what else is theirs."""
    name = path and f"{path}."
    count, size = attention.heads, attention.head_size
    one, wide = tuple(range(count)), tuple(range(count * size))
    unit = tuple(each // size for each in wide)
    members = [Member(f"{name}o.{GATE}", "norm", one, one)]
    members += [Member(f"{name}{each}", "out", wide, unit) for each in ("q", "k", "v")]
    members.append(Member(f"{name}o", "in", wide, unit))
    if attention.unit_axes:
        members.append(Member(path, "out", one, one))
    members += [Member(f"{name}{part}", "out", one, one) for part in attention.parts_of_heads()]
    return ChannelGroup(f"{name}o.{GATE}", count, tuple(members), size, "head")


def without_scale(network: nn.Module, example: Tensor) -> list[str]:
    """The layers to give a gate so that units without a scale get one, in order.

    Convolutions whose outputs no normalisation scales; and linear layers that read what linear
    layers make and nothing else does.

    Args:
        network: Left as it is.
        example: A batch of inputs.
    """
    graph = Graph(network, example)
    seen: set[str] = set()
    found: list[str] = []
    for name, layer in network.named_modules():
        if name in seen or not isinstance(layer, _ConvNd | nn.Linear):
            continue
        coupling = graph.coupled(name, "out", list(range(_channels(layer, "out"))))
        if coupling is None:
            continue
        makers, readers = coupling.layers("out"), coupling.layers("in")
        seen.update(makers)
        if not coupling.removable or not readers or coupling.layers("norm"):
            continue
        kinds = {isinstance(network.get_submodule(each), nn.Linear) for each in makers}
        if kinds == {True} and not _are_read_whole(network, coupling):
            continue
        holders = makers if kinds == {False} else readers if kinds == {True} else []
        if all(takes_gate(network.get_submodule(each)) for each in holders):
            found += [each for each in holders if each not in found]
    return found


def _are_read_whole(network: nn.Module, coupling: Coupling) -> bool:
    """Whether linear layers alone read the channels, and read nothing else."""
    reading = [member for member in coupling.members if member.role == "in"]
    layers = [network.get_submodule(member.layer) for member in reading]
    return all(
        isinstance(layer, nn.Linear) and len(member.index) == layer.in_features
        for layer, member in zip(layers, reading, strict=True)
    )
