"""Arithmetic of training: what a device offers, and the forward pass in it."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from harness.errors import RunError
from harness.quantities import Precision
from harness.training.block_floating_point import simulate_8_bit
from harness.training.twin import twin

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
        return isinstance(module, nn.Linear) and not any(n % _FP8_MULTIPLE for n in sizes)

    if not any(fits(module, name) for name, module in network.named_modules()):
        raise RunError(
            "fp8 covers linear layers whose sizes are multiples of 16, and this network has none; "
            "PyTorch has no 8-bit convolutions"
        )
    converted: nn.Module = convert_to_float8_training(network, module_filter_fn=fits)
    return converted
