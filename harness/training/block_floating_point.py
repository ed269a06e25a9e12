"""Training in 8-bit block floating point, simulated (SWALP, Yang et al., ICML 2019).

Weights, activations, errors, gradients and momentum are rounded to 8 bits with one exponent a
block, stochastically, as in low-precision SGD of the source; the arithmetic itself stays fp32. A
block is one filter of a weight and one sample of an activation. Left out of the source: the average
of the weights over the last epochs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

BITS = 8


def quantise(values: Tensor) -> Tensor:
    """Round to 8 bits with one exponent a slice of the first dimension; unbiased.

    Args:
        values: Any shape. Of fewer than two dimensions, the whole is one block.

    Returns:
        Multiples of 2**(exponent - 6), where 2**exponent is the power of two at or below the
        largest magnitude of the block, at most 127 of them.
    """
    blocks = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
    largest = blocks.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
    step = torch.exp2(torch.floor(torch.log2(largest)) - (BITS - 2))
    rounded = torch.floor(blocks / step + torch.rand_like(blocks))
    bound = 2.0 ** (BITS - 1)
    return (rounded.clamp(-bound, bound - 1) * step).reshape(values.shape)


class _Quantised(torch.autograd.Function):
    """Rounds activations forward and errors backward."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return quantise(values)

    @staticmethod
    def backward(_ctx: Any, error: Tensor) -> Tensor:
        return quantise(error)


def simulate_8_bit(network: nn.Module) -> nn.Module:
    """Round what every convolution and linear layer puts out, and the errors that come back."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(_quantise_output)
    return network


def _quantise_output(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    quantised: Tensor = _Quantised.apply(output)  # type: ignore[no-untyped-call]
    return quantised


@torch.no_grad()
def quantise_gradients(parameters: Iterable[Tensor]) -> None:
    """Round the gradients of all parameters, before the optimizer's step."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.copy_(quantise(parameter.grad))


@torch.no_grad()
def quantise_state(optimizer: torch.optim.Optimizer) -> None:
    """Round weights and momentum, after the optimizer's step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.copy_(quantise(parameter))
            momentum = optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                momentum.copy_(quantise(momentum))
