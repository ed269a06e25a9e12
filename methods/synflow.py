"""SynFlow, iterative synaptic flow pruning (Tanaka et al., NeurIPS 2020, arXiv 2006.05467)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Batch, Count, Mask, PruneAtInit, Scores, output_of, prunable_weights

if TYPE_CHECKING:
    from torch import Tensor, nn


class Synflow(PruneAtInit):
    """Mask the weights with the least synaptic flow, in many small steps, before training: SynFlow.

    The network is made linear by taking the magnitude of everything in it, parameters and buffers,
    and fed with ones; the score is |w * dR/dw| for the sum R of its outputs. No data is looked at.
    The density falls by the same factor in each step, so that no layer is ever emptied. Weights are
    masked: the network stays as large and as costly as before.

    Deviations from the official code, which knows images: ReLU6 does not saturate, an embedding is
    fed with ones in place of the one-hot vectors that tokens are, and scores are float64, in which
    deep networks do not overflow.
    """

    iterations: Count = 100
    """Number of steps."""

    def mask(self) -> Mask:
        return Mask(synflow, self.sparsity, iterations=self.iterations, samples=1)


def synflow(network: nn.Module, batch: Batch) -> Scores:
    """|w * dR/dw| for every weight of the network made linear, all in float64.

    Weights that the forward pass skips score 0, so they go first.
    """
    import torch
    from torch import nn

    device = batch.inputs.device
    if device.type == "mps":  # Apple's GPUs have no float64
        device = torch.device("cpu")
    network.to(device, torch.float64).eval()
    with torch.no_grad():
        for entry in network.state_dict().values():
            if entry.is_floating_point():
                entry.abs_()
    for layer in network.modules():
        if isinstance(layer, nn.ReLU6):
            layer.max_val = float("inf")
        elif isinstance(layer, nn.Embedding):
            layer.register_forward_hook(_of_ones)
    weights = prunable_weights(network)
    ones = torch.ones_like(batch.inputs[:1], device=device)
    if ones.is_floating_point():
        ones = ones.double()
    total = output_of(network(ones)).sum()
    gradients = torch.autograd.grad(total, list(weights.values()), materialize_grads=True)
    return {
        name: (weight * gradient).detach().abs()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


def _of_ones(embedding: nn.Embedding, _ids: object, found: Tensor) -> Tensor:
    return embedding.weight.sum(0).expand_as(found)
