"""Removing channels in memory, and carrying along what belongs to the weights that stay."""

from __future__ import annotations

import copy

import torch
import torch_pruning as tp
from torch import Tensor, nn

from harness.batch_norm import scaled_batch_norms
from harness.channel_mask import ChannelMask
from harness.pruning.channels import channel_groups, dependency_graph


def shrink(network: nn.Module, mask: ChannelMask, example: Tensor) -> dict[str, Tensor]:
    """Remove in place the channels that `mask` drops, with everything coupled to them.

    Surviving weights stay bit-equal. Nearly every parameter becomes a new object, so an optimizer
    made before trains nothing any more: build a new one.

    Args:
        network: Changed in place.
        mask: Names the network's channel groups as they are now; each keeps at least one channel.
        example: A batch of inputs, to trace the network.

    Returns:
        For each parameter and buffer the flat indices (int64, on the CPU) of the entries that
        survived, in the new shape: `old.flatten()[index]` carries any per-weight state along.

    Raises:
        ValueError: The mask does not fit the network, or empties a layer.
    """
    _check(network, mask, example)
    twin = _index_twin(network)
    _remove(twin, mask, example.to("cpu", torch.float64))
    _remove(network, mask, example)
    return {name: tensor.detach().to(torch.int64) for name, tensor in _named_tensors(twin)}


def take(tensor: Tensor, index: Tensor) -> Tensor:
    """The entries of `tensor` that survive a shrink, in their new shape."""
    return tensor.flatten()[index.to(tensor.device)]


def _named_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _index_twin(network: nn.Module) -> nn.Module:
    # float64 holds every index up to 2**53 exactly; float32 only up to 2**24.
    twin = copy.deepcopy(network).to("cpu", torch.float64)
    with torch.no_grad():
        for _, tensor in _named_tensors(twin):
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return twin


def _remove(network: nn.Module, mask: ChannelMask, example: Tensor) -> None:
    graph = dependency_graph(network, example)
    for name in mask.layers:
        drop = mask.dropped(name)
        if drop:
            layer = network.get_submodule(name)
            graph.get_pruning_group(layer, tp.prune_batchnorm_out_channels, drop).prune()


def _check(network: nn.Module, mask: ChannelMask, example: Tensor) -> None:
    layers = scaled_batch_norms(network)
    groups = channel_groups(network, example)
    widths = {group.name: layers[group.name].num_features for group in groups}
    if widths != {name: len(bits) for name, bits in mask.layers.items()}:
        raise ValueError("the channel mask is of another network than this one")
    empty = [name for name, width in mask.widths().items() if width == 0]
    if empty:
        raise ValueError(f"the channel mask leaves no channel in {', '.join(empty)}")
