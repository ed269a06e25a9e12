"""GraSP, gradient signal preservation (Wang et al., ICLR 2020, arXiv 2002.07376)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Batch, Count, Mask, PruneAtInit, Scores, output_of, prunable_weights

if TYPE_CHECKING:
    from torch import nn

TEMPERATURE = 200.0
"""Divides the network's outputs, as in the official code."""


class Grasp(PruneAtInit):
    """Mask the weights whose removal harms the flow of gradients least, before training: GraSP.

    To first order, removing a weight changes the squared norm of the gradient g by -2 w * Hg, where
    H is the Hessian. The paper removes the weights with the largest -w * Hg; the score here is
    w * Hg, so that higher stays. The threshold is global. Weights are masked: the network stays as
    large and as costly as before.

    Deviations from the official code: samples are drawn at random, not a number per class; they are
    one batch in place of two halves, and linear layers are not re-initialised before scoring.
    """

    samples: Count = 100
    """How many samples to score on (the paper: 10 per class)."""

    def mask(self) -> Mask:
        return Mask(grasp, self.sparsity, samples=self.samples)


def grasp(network: nn.Module, batch: Batch) -> Scores:
    """The product of w and Hg for every weight; BatchNorm takes its statistics from the batch."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    weights = prunable_weights(network)
    values = list(weights.values())
    # The fused kernels of attention cannot be differentiated twice.
    with sdpa_kernel(SDPBackend.MATH):
        outputs = output_of(network.train()(batch.inputs))
    loss = batch.loss(outputs / TEMPERATURE)
    # Weights that the forward pass skips have a gradient of 0.
    gradients = torch.autograd.grad(loss, values, create_graph=True, materialize_grads=True)
    # The gradient of g.detach() * g is Hg, without ever forming H.
    flow = torch.stack([(gradient.detach() * gradient).sum() for gradient in gradients]).sum()
    products = torch.autograd.grad(flow, values, materialize_grads=True)
    return {
        name: (weight * product).detach()
        for (name, weight), product in zip(weights.items(), products, strict=True)
    }
