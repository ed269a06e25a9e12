"""Arithmetic of training: what a device offers, and the forward pass in it.

"int8_simulated" is 8-bit block floating point, simulated (SWALP, Yang et al., ICML 2019): weights,
activations, errors, gradients and momentum are rounded to 8 bits with one exponent per block,
stochastically, as in low-precision SGD of the source; the arithmetic itself stays fp32. A block is
one filter of a weight and one sample of an activation. The average of the weights over the last
epochs is left out. Of AdamW, the first moment is rounded as momentum is; the second stays in fp32,
since in a block with larger ones small ones would become zeros to divide by.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RunError
from harness.pruning.gates import gate_of
from harness.settings.types import Precision

_FP8_CAPABILITY = (8, 9)
_FP8_MULTIPLE = 16
"""Both sizes of a matrix must be multiples of this for 8-bit products."""


def refusal(precision: Precision, device: torch.device, processes: int = 1) -> str | None:
    """Why `processes`, each on a `device`, cannot train in `precision`; None if they can."""
    if processes > 1 and precision in ("int8_simulated", "fp8"):
        # Stochastic rounding and scales would differ from process to process.
        return f"{precision} trains in one process; set engine.gpus_per_run = 1"
    if precision in ("fp32", "int8_simulated"):
        return None
    if device.type == "mps":
        return f"{precision} is not supported on an Apple GPU; use fp32"
    if precision == "bf16":
        fast = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
        return None if fast else "bf16 needs an NVIDIA GPU of Ampere or newer"
    if device.type != "cuda":
        return f"{precision} needs an NVIDIA GPU, and torch sees none"
    capability = torch.cuda.get_device_capability(device)
    if precision == "tf32":
        return None if capability >= (8, 0) else "tf32 needs an NVIDIA GPU of Ampere or newer"
    if capability < _FP8_CAPABILITY:
        return "fp8 needs an NVIDIA GPU of Ada, Hopper or newer"
    if importlib.util.find_spec("torchao") is None:
        return "fp8 needs torchao: pip install 'energy-harness[fp8]'"
    return None


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The context in which a forward pass runs; matrix and convolution products only differ."""
    if device.type == "cuda":
        _allow_tf32(precision == "tf32")
    if precision in ("bf16", "fp8"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _allow_tf32(allowed: bool) -> None:
    # PyTorch's own default is tf32 in convolutions, which "fp32" must not be taken for. Set the
    # newer `fp32_precision` and the older getters raise, which Inductor reads (pytorch#166387);
    # this pair keeps all of them readable and of one mind, on torch 2.11 as on 2.13. That
    # convolutions then really compute in full precision can be seen on a GPU only.
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """A module that computes as `network` in `precision`, on the same parameters and buffers.

    Raises:
        RunError: The network has no layer that could be computed so.
    """
    if precision == "int8_simulated":
        return simulate_8_bit(twin(network))
    if precision == "fp8":
        return _in_fp8(twin(network))
    return network


def _in_fp8(network: nn.Module) -> nn.Module:
    from torchao.float8 import convert_to_float8_training

    def fits(module: nn.Module, _name: str) -> bool:
        sizes = (getattr(module, "in_features", 1), getattr(module, "out_features", 1))
        # torchao makes new modules, which would lose a gate.
        is_linear = isinstance(module, nn.Linear) and gate_of(module) is None
        return is_linear and not any(n % _FP8_MULTIPLE for n in sizes)

    if not any(fits(module, name) for name, module in network.named_modules()):
        raise RunError(
            "fp8 covers linear layers whose sizes are multiples of 16, and this network has none; "
            "PyTorch has no 8-bit convolutions"
        )
    converted: nn.Module = convert_to_float8_training(network, module_filter_fn=fits)
    return converted


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
            for key in ("momentum_buffer", "exp_avg"):
                if key in optimizer.state[parameter]:
                    momentum = optimizer.state[parameter][key]
                    momentum.copy_(quantise(momentum))


def twin(network: nn.Module) -> nn.Module:
    """Other modules with the very same parameters and buffers."""
    shared = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in shared})
