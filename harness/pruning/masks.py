"""Weight masks as values: tensors of ones and zeros by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def alive_weights(scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> int:
    """How many of the scored weights live; a parameter without a mask is wholly alive."""
    return sum(
        int(masks[name].sum()) if name in masks else score.numel() for name, score in scores.items()
    )


def shuffle_masks(masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each mask with its ones at random places; draws from torch's generator of the CPU."""
    shuffled = {}
    for name, mask in masks.items():
        order = torch.randperm(mask.numel()).to(mask.device)
        shuffled[name] = mask.flatten()[order].reshape(mask.shape)
    return shuffled
