"""SNIP (Lee et al., ICLR 2019, arXiv 1810.02340)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Batch, Count, Mask, PruneAtInit, Scores, prunable_weights

if TYPE_CHECKING:
    from torch import nn


class Snip(PruneAtInit):
    """Mask the weights whose removal changes the loss least, before training: SNIP.

    The score is |w * dL/dw| on one mini-batch, the threshold global. Weights are masked: the
    network stays as large and as costly as before.

    Deviation from the paper: convolutions are initialised as the workload is (He et al., 2015) in
    place of variance scaling by Glorot & Bengio (2010).
    """

    samples: Count = 128
    """Size of the mini-batch (the paper: 128 on CIFAR-10, 100 on MNIST)."""

    def mask(self) -> Mask:
        return Mask(snip, self.sparsity, samples=self.samples)


def snip(network: nn.Module, batch: Batch) -> Scores:
    """|w * dL/dw| of every weight; BatchNorm takes its statistics from the batch.

    Weights that the forward pass skips score 0, so they go first.
    """
    import torch

    weights = prunable_weights(network)
    loss = batch.loss(network.train()(batch.inputs))
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return {
        name: (weight * gradient).detach().abs()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
