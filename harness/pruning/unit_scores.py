"""Scores of units: pure functions of a network and a batch; what scores higher stays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd

from harness.pruning.batch import Batch
from harness.pruning.channels import channel_groups
from harness.pruning.groups import Member, gamma, scales, weights_of


def scale(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """|scale| of every unit, the mean over coupled layers (Liu et al., 2017; Chen et al., 2021)."""
    magnitudes = {name: gamma(layer).detach().abs() for name, layer in scales(network).items()}
    return _means(
        network,
        batch,
        lambda member: magnitudes.get(member.layer) if member.role == "norm" else None,
    )


def magnitude(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Mean |w| of the weights that make each unit (Li et al., 2017); depthwise ones apart.

    A unit without weights that make it, or with shifts alone, has none to score: its scale's do.
    """

    def of(member: Member) -> Tensor | None:
        if member.role != "out":
            return None
        weights = weights_of(network.get_submodule(member.layer), "out")
        return None if weights is None else weights.abs().mean(dim=1)

    return _means(network, batch, of)


def taylor(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """|scale * gradient|, shifts included: by how much the loss would change without the unit.

    First order, on the batch, with statistics as in training (Molchanov et al., CVPR 2019).
    """
    twin = copy.deepcopy(network).train().requires_grad_(True)
    layers = scales(twin)
    loss = batch.loss(twin(batch.inputs))
    parameters = [each for layer in layers.values() for each in layer.parameters(recurse=False)]
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    gradients = dict(zip(map(id, parameters), found, strict=True))

    def of(member: Member) -> Tensor | None:
        if member.role != "norm":
            return None
        own = layers[member.layer].parameters(recurse=False)
        return torch.stack([(each * gradients[id(each)]).detach() for each in own]).sum(dim=0).abs()

    return _means(network, batch, of)


def gradient_flow(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """|d/dc of g.g|, by how much the flow of gradients would change without each unit.

    c is a gate of 1 on what the unit's layers put out, g the gradient of the loss with respect to
    the weights of convolutions and linear layers, of which one factor counts as constant. Running
    statistics normalise (CroP-S: Rachwan et al., ICML 2022, and their code).
    """
    twin = copy.deepcopy(network).eval().requires_grad_(True)
    groups = channel_groups(network, batch.inputs)
    gates = {group.name: torch.ones(group.size, requires_grad=True) for group in groups}
    hooks = [
        twin.get_submodule(member.layer).register_forward_hook(_gated(gates[group.name], member))
        for group in groups
        for member in group.members
        if member.role == "out" and weights_of(twin.get_submodule(member.layer), "out") is not None
    ]
    kinds = (_ConvNd, nn.Linear)
    weights = [each.weight for each in twin.modules() if isinstance(each, kinds)]
    with sdpa_kernel(SDPBackend.MATH):  # fused kernels cannot be differentiated twice
        loss = batch.loss(twin(batch.inputs))
    found = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
    flow = torch.stack([(each.detach() * each).sum() for each in found]).sum()
    scores = torch.autograd.grad(flow, list(gates.values()), materialize_grads=True)
    for hook in hooks:
        hook.remove()
    return {name: each.detach().abs() for name, each in zip(gates, scores, strict=True)}


def _gated(gate: Tensor, member: Member) -> Callable[..., Tensor]:
    """A hook that multiplies the outputs of a layer that belong to a group by its gates."""

    def hook(layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        axis = output.ndim - 1 if isinstance(layer, nn.Linear) else 1
        units = torch.tensor(member.channel)
        scale = torch.ones(output.shape[axis])
        scale = scale.index_copy(0, torch.tensor(member.index), gate[units])
        shape = [-1 if each == axis else 1 for each in range(output.ndim)]
        return output * scale.to(output.device).reshape(shape)

    return hook


UNIT_SCORES: Mapping[str, Callable[[nn.Module, Batch], dict[str, Tensor]]] = {
    "scale": scale,
    "magnitude": magnitude,
    "taylor": taylor,
    "gradient_flow": gradient_flow,
}
"""By the name that a method gives them."""


def _means(
    network: nn.Module, batch: Batch, of: Callable[[Member], Tensor | None]
) -> dict[str, Tensor]:
    """The mean of what the members of each group say of each unit, on the CPU.

    Args:
        network: Left as it is.
        batch: One sample suffices.
        of: A value for each place of a member's layer; None if it has no say.
    """
    scores = {}
    for group in channel_groups(network, batch.inputs):
        total, count = torch.zeros(group.size), torch.zeros(group.size)
        for member in group.members:
            values = of(member)
            if values is None:
                continue
            unit = torch.tensor(member.channel)
            own = values.cpu()[list(member.index)].float()
            total.index_add_(0, unit, own)
            count.index_add_(0, unit, torch.ones_like(own))
        scores[group.name] = total / count.clamp_min(1)
    return scores
