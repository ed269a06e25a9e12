"""First weights: a function of a seed alone, whatever the device and its memory formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from harness.batch_norm import scaled_batch_norms
from harness.settings import WorkloadChoice


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, torch's generator of the CPU begins at `seed`; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPU, too
        yield


def draw(network: nn.Module, choice: WorkloadChoice, seed: int) -> None:
    """Draw the weights of every module that can, on the CPU; others keep their builder's.

    Args:
        network: Moved to the CPU, and to contiguous weights: numbers are drawn in the order of
            memory, so that another format would get others.
        choice: For `init` and `gamma_init`.
        seed: What the weights follow from.
    """
    with seeded(seed):
        _draw(network, choice)


def _draw(network: nn.Module, choice: WorkloadChoice) -> None:
    network.to("cpu")
    for weight in network.parameters():
        weight.data = weight.data.contiguous()
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    if choice.init == "he":
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                # With torch's fan-out, which does not divide by groups: so do the papers' code and
                # torchvision's networks.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    for layer in scaled_batch_norms(network).values():
        nn.init.constant_(layer.weight, choice.gamma_init)


def fixed_parameters(network: nn.Module) -> list[str]:
    """Names of the parameters that only the network's builder can draw."""
    return [
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        if not callable(getattr(module, "reset_parameters", None))
        for name, _ in module.named_parameters(recurse=False)
    ]
