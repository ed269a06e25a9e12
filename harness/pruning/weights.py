"""Masks on single weights: scores, and the global threshold among the weights still alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

Scores = dict[str, "Tensor"]


def magnitude(network: nn.Module, _batch: Tensor) -> Scores:
    """|w| of every weight of convolution and linear layers (Han et al., 2015)."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(network).items()}


def prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Weights of two dimensions or more, by name: no biases, no BatchNorm."""
    return {name: weight for name, weight in network.named_parameters() if weight.ndim > 1}


def prune_weights(scores: Scores, masks: Mapping[str, Tensor], fraction: float) -> Scores:
    """Drop the lowest-scored `fraction` of the weights still alive, by one global threshold.

    Exactly `round(alive * fraction)` weights go; among equal scores the first in order go first.

    Args:
        scores: A tensor a parameter; higher stays.
        masks: The masks so far (ones and zeros); a parameter without one is wholly alive.
        fraction: Strictly between 0 and 1.

    Returns:
        New masks, each within the mask before it.
    """
    import torch

    alive = {name: masks.get(name, torch.ones_like(score)) for name, score in scores.items()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    candidates = torch.cat([mask.flatten() for mask in alive.values()]).nonzero().flatten()
    order = flat[candidates].argsort(stable=True)
    drop = candidates[order[: round(len(candidates) * fraction)]]
    survivors = torch.zeros_like(flat)
    survivors[candidates] = 1
    survivors[drop] = 0
    sizes = [score.numel() for score in scores.values()]
    pieces = survivors.split(sizes)  # type: ignore[no-untyped-call]
    return {
        name: piece.reshape(score.shape)
        for (name, score), piece in zip(scores.items(), pieces, strict=True)
    }
