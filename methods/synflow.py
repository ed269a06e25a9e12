"""SynFlow, iterative synaptic flow pruning (Tanaka et al., NeurIPS 2020, arXiv 2006.05467)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Batch, Count, Mask, PruneAtInit, Scores, prunable_weights

if TYPE_CHECKING:
    from torch import nn


class Synflow(PruneAtInit):
    """Mask the weights with the least synaptic flow, in many small steps, before training: SynFlow.

    The network is made linear by taking every weight's magnitude, and fed with ones; the score is
    w * dR/dw for the sum R of its outputs. No data is looked at. The density falls by the same
    factor in each step, so that no layer is ever emptied. Weights are masked: the network stays as
    large and as costly as before.

    Deviations from the official code, all of which leave its scores in a fresh network of the paper
    as they are: biases and running means count as zero, ReLU6 does not saturate, and scores are
    float64, in which deep networks do not overflow.
    """

    iterations: Count = 100
    """Number of steps."""

    def mask(self) -> Mask:
        return Mask(synflow, self.sparsity, iterations=self.iterations, samples=1)


def synflow(network: nn.Module, batch: Batch) -> Scores:
    """The product of w and dR/dw for every weight of the network made linear, all in float64."""
    import torch
    from torch import Tensor, nn

    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        for layer in network.modules():
            for name in ("bias", "running_mean"):
                shift = getattr(layer, name, None)
                if isinstance(shift, Tensor):
                    shift.zero_()
            if isinstance(layer, nn.ReLU6):
                layer.max_val = float("inf")
    weights = prunable_weights(network)
    ones = torch.ones_like(batch.images[:1], dtype=torch.float64)
    gradients = torch.autograd.grad(network(ones).sum(), list(weights.values()))
    return {
        name: (weight * gradient).detach()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
