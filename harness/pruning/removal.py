"""Silencing channels, removing them in memory, and checking that both compute the same."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.pruning.channel_mask import ChannelMask
from harness.pruning.groups import ChannelGroup, scales


@torch.no_grad()
def silence(network: nn.Module, groups: Iterable[ChannelGroup], mask: ChannelMask) -> None:
    """Set the scales of dropped units, and shifts beside them, to zero; nothing gets smaller."""
    for group in groups:
        dropped = set(mask.dropped(group.name))
        for member in group.norms:
            layer = network.get_submodule(member.layer)
            for parameter in layer.parameters(recurse=False):
                parameter[member.of_channels(dropped)] = 0


def remove(
    network: nn.Module, groups: Iterable[ChannelGroup], mask: ChannelMask
) -> dict[str, Tensor]:
    """Remove dropped channels in place; see `harness.pruning.channels.shrink` for what is returned.

    All indices count in the network as it is on entry, and each layer is cut once, so groups that
    share a layer do not shift each other.
    """
    lost_outputs: defaultdict[str, set[int]] = defaultdict(set)
    lost_inputs: defaultdict[str, set[int]] = defaultdict(set)
    for group in groups:
        dropped = set(mask.dropped(group.name))
        for member in group.members:
            lost = lost_inputs if member.role == "in" else lost_outputs
            lost[member.layer].update(member.of_channels(dropped))
    index = {name: _numbered(tensor) for name, tensor in _tensors(network, recurse=True)}
    for name in lost_outputs.keys() | lost_inputs.keys():
        layer = network.get_submodule(name)
        for tensor, kept in _cut(layer, lost_outputs[name], lost_inputs[name]).items():
            index[f"{name}.{tensor}"] = kept
    return index


def take(tensor: Tensor, index: Tensor) -> Tensor:
    """The entries of `tensor` that survive a shrink, in their new shape."""
    return tensor.flatten()[index.to(tensor.device)]


def carried(
    saved: Mapping[str, Mapping[str, Tensor]], index: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """An optimizer's state for the weights that survive a shrink, whatever it keeps of each.

    Args:
        saved: By parameter name; SGD's momentum, Adam's moments, ... A count has no dimension.
        index: What `remove` returned.
    """
    return {
        name: {
            key: take(value, index[name]) if value.ndim else value for key, value in kept.items()
        }
        for name, kept in saved.items()
    }


def _cut(layer: nn.Module, outputs: set[int], inputs: set[int]) -> dict[str, Tensor]:
    index = {}
    for name, tensor in _tensors(layer, recurse=False):
        if tensor.ndim == 0:
            continue
        index[name] = _numbered(tensor)
        for axis, lost in zip(_axes(layer, name, tensor), (outputs, inputs), strict=True):
            if axis is not None:
                index[name] = _without(index[name], axis, lost)
        kept = take(tensor.detach(), index[name])
        if isinstance(tensor, nn.Parameter):
            kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
        setattr(layer, name, kept)
    _count(layer, len(outputs), len(inputs))
    return index


def _count(layer: nn.Module, outputs: int, inputs: int) -> None:
    """Let a layer know that it has lost some of its outputs and inputs."""
    if isinstance(layer, _ConvNd):
        layer.out_channels -= outputs
        if layer.groups > 1:
            layer.in_channels = layer.groups = layer.out_channels
        layer.in_channels -= inputs
    elif isinstance(layer, nn.Linear):
        layer.out_features -= outputs
        layer.in_features -= inputs
    elif isinstance(layer, _BatchNorm | _InstanceNorm):
        layer.num_features -= outputs
    elif isinstance(layer, nn.GroupNorm):
        layer.num_groups -= outputs * layer.num_groups // layer.num_channels
        layer.num_channels -= outputs


def _axes(layer: nn.Module, name: str, tensor: Tensor) -> tuple[int | None, int | None]:
    """Along which axes a layer's own tensor holds its outputs and its inputs; None if it does not.

    What attention itself holds of its heads counts as outputs.
    """
    unit_axes: Mapping[str, int] | None = getattr(layer, "unit_axes", None)
    if unit_axes is not None:
        return unit_axes.get(name), None
    if isinstance(layer, _ConvTransposeNd) and tensor.ndim > 1:
        return 1, 0
    return 0, 1 if tensor.ndim > 1 else None


def _tensors(module: nn.Module, *, recurse: bool) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(recurse=recurse), *module.named_buffers(recurse=recurse)]


def _numbered(tensor: Tensor) -> Tensor:
    return torch.arange(tensor.numel()).reshape(tensor.shape)


def _without(index: Tensor, dim: int, lost: set[int]) -> Tensor:
    kept = [each for each in range(index.shape[dim]) if each not in lost]
    return index.index_select(dim, torch.tensor(kept)) if lost else index


_TOLERANCE = 1e-6


def exact_copy(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in float64 and evaluation mode, where rounding hides no error."""
    copied = copy.deepcopy(network).to("cpu", torch.float64).eval()
    for module in copied.modules():
        if isinstance(module, nn.SyncBatchNorm):  # which computes on GPUs only
            module.__class__ = _LocalBatchNorm  # type: ignore[assignment]
    return copied


class _LocalBatchNorm(_BatchNorm):
    """BatchNorm of any number of dimensions, over the samples of this process."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        pass


def example_of(batch: Tensor) -> Tensor:
    """The first sample of a batch, as `exact_copy` takes it."""
    sample = batch[:1].detach().cpu().contiguous()
    return sample.double() if sample.is_floating_point() else sample


@torch.no_grad()
def removes_cleanly(
    network: nn.Module, groups: list[ChannelGroup], mask: ChannelMask, example: Tensor
) -> bool:
    """Whether removing the channels that `mask` drops has the effect of silencing them.

    In evaluation and in training mode, which may compute other things.

    Args:
        network: An `exact_copy` to spare.
        groups: Its groups that `mask` names.
        mask: What to drop.
        example: One sample, see `example_of`.
    """
    try:
        silence(network, groups, mask)
    except IndexError:  # traced to channels that the layer does not have
        return False
    silenced = copy.deepcopy(network)
    try:
        remove(network, groups, mask)
    except (RuntimeError, ValueError, IndexError):
        return False
    return computes_the_same(silenced, network, example)


@torch.no_grad()
def computes_the_same(network: nn.Module, other: nn.Module, example: Tensor) -> bool:
    """Whether two networks answer the same in both modes, up to rounding.

    Args:
        network: An `exact_copy`, which surely can answer.
        other: Another one, changed.
        example: One sample, see `example_of`.
    """
    expected = _outputs(network, example)
    try:
        found = _outputs(other, example)
    except (RuntimeError, ValueError, IndexError):
        return False
    return [each.shape for each in found] == [each.shape for each in expected] and all(
        map(_are_close, found, expected)
    )


def _outputs(network: nn.Module, example: Tensor) -> list[Tensor]:
    """All tensors that a network answers with, in evaluation and in training mode.

    What is random in training is the same whatever the widths are; nothing is dropped.
    """
    # BatchNorm in training needs two samples.
    pair = torch.cat([example, example.flip(-1)])
    numbers = random.getstate()
    with torch.random.fork_rng(devices=[]), _NothingDropped():  # type: ignore[no-untyped-call]
        torch.default_generator.manual_seed(0)
        random.seed(0)
        try:
            # On a copy, since training mode moves the statistics of BatchNorm.
            answers = network(example), copy.deepcopy(network).train()(pair)
        finally:
            random.setstate(numbers)
    return [each for each in tree_leaves(answers) if isinstance(each, Tensor)]


class _NothingDropped(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has dropout and its like, whose draws depend on the width, keep everything."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.bernoulli_.float:
            tensor, *share = args
            return tensor.fill_(*share or (0.5,))
        return func(*args, **(kwargs or {}))


def _are_close(found: Tensor, expected: Tensor) -> bool:
    if not expected.isfinite().all():
        return True  # A diverged network shows nothing, and its run says so by itself.
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=0, atol=_TOLERANCE * largest)


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
        for layer in scales(network).values():
            # Scales and shifts that training has driven to zero would hide errors.
            for name, values in layer.named_parameters(recurse=False):
                low, high = (0.5, 1.5) if name == "weight" else (-0.5, 0.5)
                values.uniform_(low, high, generator=generator)
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
