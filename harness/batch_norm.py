"""BatchNorm layers with a scale gamma: where channels are scored, penalised and removed."""

from __future__ import annotations

from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def scaled_batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """The BatchNorm layers of a network that have a scale, by name, in order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, BatchNorm) and module.affine
    }


def gamma(layer: BatchNorm) -> Tensor:
    """The scale of a layer that has one, shape (channels,)."""
    scale: Tensor = layer.weight
    return scale
