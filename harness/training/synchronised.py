"""BatchNorm whose statistics are those of the whole batch, however many processes share it.

Methods that read its scale would else see another network than one process trains, and so would
all others, which are compared with them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.training.twin import twin


def synchronised(network: nn.Module) -> nn.Module:
    """A module with the parameters and buffers of `network`, and synchronised statistics."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(twin(network))  # type: ignore[no-untyped-call]
    if next(network.parameters()).device.type != "cuda":
        for module in converted.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.__class__ = _OnAnyDevice  # type: ignore[assignment]
    return converted


class _OnAnyDevice(_BatchNorm):
    """The same where torch's own does not go: it asks for GPUs."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch calls it so
        if not self.training:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        others = [0, *range(2, input.ndim)]  # all dimensions but that of channels
        shape = [1, -1, *[1] * (input.ndim - 2)]
        count = _summed(torch.tensor(float(input.numel() // input.shape[1])))
        mean = _summed(input.sum(others)) / count
        centred = input - mean.view(shape)
        variance = _summed(centred.square().sum(others)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if (
            self.running_mean is None
            or self.running_var is None
            or self.num_batches_tracked is None
        ):
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """A sum over processes; its gradient is one, too, since every process has a loss."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _summed(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total
