"""A gate: the scale of units that no BatchNorm scales, inserted by the harness and folded away.

A unit is what can be removed as a whole: a channel of a convolution, the channels that GroupNorm
normalises together, a hidden neuron of a feed-forward block, a head of attention. Where BatchNorm
or GroupNorm scales it, their gamma scores it, is penalised and silences it. Elsewhere a gate does:
a factor for each unit that begins at 1 and is trained like any weight (the coefficients of
EarlyBERT, Chen et al., ACL 2021). It sits where zero silences the unit and where it can be
multiplied into weights exactly:

    convolution -> gate -> ...              folded into the convolution's outputs
    linear -> activation -> gate -> linear  folded into the inputs of the second layer
    heads of attention -> gate -> linear    likewise
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

GATE = "gate"
"""The name of a gate in the layer that it belongs to."""


class Gate(nn.Module):
    """A factor for each unit.

    Args:
        units: How many there are.
        axis: Which axis of the values they lie along.

    Attributes:
        weight: The factors, shape (units,).
    """

    def __init__(self, units: int, axis: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))
        self.axis = axis

    def reset_parameters(self) -> None:
        """Let everything through as it is."""
        nn.init.ones_(self.weight)

    def forward(self, values: Tensor) -> Tensor:
        """The values, each times the factor of its unit."""
        shape = [1] * values.ndim
        shape[self.axis] = -1
        return values * self.weight.to(values.dtype).view(shape)

    def extra_repr(self) -> str:
        """For the text of a network."""
        return f"{len(self.weight)}, axis={self.axis}"


def add_gate(layer: _ConvNd | nn.Linear) -> None:
    """Give a layer a gate: of a convolution's outputs, or of a linear layer's inputs.

    It is a module named `gate` within the layer, called by a hook, so that the layer keeps its
    type, its name and its place.
    """
    if isinstance(layer, nn.Linear):
        gate = Gate(layer.in_features, axis=-1)
        layer.register_forward_pre_hook(_gate_inputs)
    else:
        gate = Gate(layer.out_channels, axis=1)
        layer.register_forward_hook(_gate_outputs)
    layer.add_module(GATE, gate.to(layer.weight.device, layer.weight.dtype))


def _gate_inputs(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (layer.gate(inputs[0]), *inputs[1:])


def _gate_outputs(layer: Any, _inputs: tuple[Any, ...], outputs: Tensor) -> Any:
    return layer.gate(outputs)


def gate_of(layer: nn.Module) -> Gate | None:
    """The gate that a layer holds; None if it has none."""
    gate = layer._modules.get(GATE)  # noqa: SLF001 - a plain layer has no such attribute at all
    return gate if isinstance(gate, Gate) else None


@torch.no_grad()
def fold_gates(network: nn.Module) -> nn.Module:
    """Multiply every gate into the weights beside it and take it away; what is computed stays.

    Args:
        network: Changed in place. A parameter keeps being the same object.
    """
    layer: Any
    for layer in network.modules():
        gate = gate_of(layer)
        if gate is None:
            continue
        fold = getattr(layer, "fold_gate", None)
        if fold is not None:  # attention, whose gate lies within
            fold()
            continue
        factors, weight = gate.weight, layer.weight
        outputs = 1 if isinstance(layer, _ConvTransposeNd) else 0
        axis = 1 if isinstance(layer, nn.Linear) else outputs
        weight.mul_(_along(axis, factors, weight))
        if axis == outputs and layer.bias is not None:
            layer.bias.mul_(factors)
        remove_gate(layer)
    return network


def _along(axis: int, factors: Tensor, values: Tensor) -> Tensor:
    return factors.view([-1 if each == axis else 1 for each in range(values.ndim)])


def remove_gate(layer: nn.Module) -> None:
    """Take a layer's gate and its hook away."""
    for hooks in (layer._forward_hooks, layer._forward_pre_hooks):  # noqa: SLF001 - a hook's handle is lost where a network was copied
        for key in [key for key, hook in hooks.items() if hook in (_gate_inputs, _gate_outputs)]:
            del hooks[key]
    delattr(layer, GATE)
