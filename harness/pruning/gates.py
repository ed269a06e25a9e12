"""A gate: the scale of units that no BatchNorm scales, inserted by the harness and folded away.

A unit is what can be removed as a whole: a channel of a convolution, the channels that GroupNorm
normalises together, a hidden neuron of a feed-forward block, a head of attention. Where BatchNorm
or GroupNorm scales it, their gamma scores it, is penalised and silences it. Elsewhere a gate does:
a factor for each unit that begins at 1 and is trained like any weight (the coefficients of
EarlyBERT, Chen et al., ACL 2021). It sits where zero silences the unit and where it can be
multiplied into weights exactly:

    convolution -> gate -> ...              a factor of the convolution's filters
    linear -> activation -> gate -> linear  a factor of the columns of the second layer
    heads of attention -> gate -> linear    likewise

It is multiplied into those weights in every forward pass: they are far smaller than what they act
on, so that a gate costs next to nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

GATE = "gate"
"""The name of a gate in the layer that it belongs to."""


class Gate(nn.Module):
    """A factor for each unit.

    Args:
        units: How many there are.
        width: How many consecutive channels belong to each.

    Attributes:
        weight: The factors, shape (units,).
    """

    def __init__(self, units: int, width: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))
        self.width = width

    def reset_parameters(self) -> None:
        """Let everything through as it is."""
        nn.init.ones_(self.weight)

    def factors(self) -> Tensor:
        """The factor of every channel."""
        return self.weight if self.width == 1 else self.weight.repeat_interleave(self.width)

    def extra_repr(self) -> str:
        """For the text of a network."""
        return f"{len(self.weight)}, width={self.width}"


class GatedLinear(nn.Linear):
    """A linear layer with a gate on its inputs."""

    gate: Gate

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """As `nn.Linear`, of gated inputs."""
        return F.linear(input, self.weight * self.gate.factors(), self.bias)


class _GatedConvolution(_ConvNd):
    """A convolution with a gate on its outputs."""

    gate: Gate

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        factors = self.gate.factors()
        gated = weight * factors.view(-1, *[1] * (weight.ndim - 1))
        forward: Any = super()._conv_forward
        outputs: Tensor = forward(input, gated, None if bias is None else bias * factors)
        return outputs


class _GatedTransposed(_ConvNd):
    """A transposed convolution with a gate on its outputs."""

    gate: Gate

    def forward(self, input: Tensor, *options: Any) -> Tensor:  # noqa: A002
        """As without the gate, its outputs gated."""
        outputs: Tensor = super().forward(input, *options)
        return outputs * self.gate.factors().to(outputs.dtype).view(-1, *[1] * (outputs.ndim - 2))


class GatedConv1d(_GatedConvolution, nn.Conv1d):
    """A convolution with a gate on its outputs."""


class GatedConv2d(_GatedConvolution, nn.Conv2d):
    """A convolution with a gate on its outputs."""


class GatedConv3d(_GatedConvolution, nn.Conv3d):
    """A convolution with a gate on its outputs."""


class GatedConvTranspose1d(_GatedTransposed, nn.ConvTranspose1d):
    """A transposed convolution with a gate on its outputs."""


class GatedConvTranspose2d(_GatedTransposed, nn.ConvTranspose2d):
    """A transposed convolution with a gate on its outputs."""


class GatedConvTranspose3d(_GatedTransposed, nn.ConvTranspose3d):
    """A transposed convolution with a gate on its outputs."""


_GATED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: GatedLinear,
    nn.Conv1d: GatedConv1d,
    nn.Conv2d: GatedConv2d,
    nn.Conv3d: GatedConv3d,
    nn.ConvTranspose1d: GatedConvTranspose1d,
    nn.ConvTranspose2d: GatedConvTranspose2d,
    nn.ConvTranspose3d: GatedConvTranspose3d,
}
_PLAIN = {gated: plain for plain, gated in _GATED.items()}


def takes_gate(layer: nn.Module) -> bool:
    """Whether a layer can be given a gate: not if another class has its own way to compute."""
    return type(layer) in _GATED


def add_gate(layer: Any, width: int = 1) -> None:
    """Give a layer a gate: of a convolution's outputs, or of a linear layer's inputs.

    The layer stays the same object under the same name, and becomes one of a class that also
    reads its gate.

    Args:
        layer: One that `takes_gate`.
        width: Consecutive channels that belong to one unit.
    """
    channels = layer.in_features if isinstance(layer, nn.Linear) else layer.out_channels
    gate = Gate(channels // width, width).to(layer.weight.device, layer.weight.dtype)
    layer.add_module(GATE, gate)
    layer.__class__ = _GATED[type(layer)]


def gate_of(layer: nn.Module) -> Gate | None:
    """The gate that a layer holds; None if it has none."""
    return getattr(layer, GATE, None) if type(layer) in _PLAIN else None


def remove_gate(layer: nn.Module) -> None:
    """Take a layer's gate away."""
    delattr(layer, GATE)
    layer.__class__ = _PLAIN[type(layer)]


@torch.no_grad()
def fold_gates(network: nn.Module) -> nn.Module:
    """Multiply every gate into the weights beside it and take it away; what is computed stays.

    Args:
        network: Changed in place. A parameter keeps being the same object.
    """
    layer: Any
    for layer in list(network.modules()):
        gate = gate_of(layer)
        if gate is None:
            continue
        weight, factors = layer.weight, gate.factors()
        axis = 1 if isinstance(layer, nn.Linear | _GatedTransposed) else 0
        weight.mul_(factors.view([-1 if each == axis else 1 for each in range(weight.ndim)]))
        if not isinstance(layer, nn.Linear) and layer.bias is not None:
            layer.bias.mul_(factors)
        remove_gate(layer)
    return network
