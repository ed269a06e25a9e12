"""Moving weight masks while training: drop the smallest, grow where the gradient is largest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Rewirer:
    """The rewiring of RigL (Evci et al., ICML 2020), with the same number alive ever after.

    In each tensor the smallest living weights are dropped, and as many of the then dead ones with
    the largest gradients are grown. As in the paper and its code, a weight that was just dropped
    may be grown again at once; that leaves it as it was.

    Args:
        masks: Ones and zeros by parameter name. The living are counted here, once: the only time
            that anything waits for the device.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        counts = torch.stack([mask.sum() for mask in masks.values()]).tolist() if masks else []
        self._alive = dict(zip(masks, map(int, counts), strict=True))

    def rewire(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        fraction: float,
    ) -> dict[str, Tensor]:
        """New masks; each tensor moves the share `fraction` of its living weights, rounded down.

        Args:
            weights: By parameter name.
            gradients: Of the loss with respect to all weights, dead ones too. A tensor without a
                gradient keeps its mask.
            masks: Ones and zeros, as many ones as at first.
            fraction: From 0 to 1.
        """
        return {
            name: self._moved(name, weights[name], gradients[name], mask, fraction)
            if name in gradients
            else mask
            for name, mask in masks.items()
        }

    def _moved(
        self, name: str, weight: Tensor, gradient: Tensor, mask: Tensor, fraction: float
    ) -> Tensor:
        dropped = int(self._alive[name] * fraction)
        # Magnitudes are never below 0, so -1 ranks behind all that may be chosen.
        living = weight.detach().abs().masked_fill(mask == 0, -1.0).flatten()
        kept = living.topk(self._alive[name] - dropped).indices
        moved = torch.zeros_like(living).index_fill_(0, kept, 1.0)
        candidates = gradient.detach().abs().flatten().masked_fill(moved == 1, -1.0)
        moved.index_fill_(0, candidates.topk(dropped).indices, 1.0)
        return moved.reshape(mask.shape).to(mask.dtype)
