"""Weight masks, and moving them while training (RigL): drop the smallest, grow by gradient.

A mask is a tensor of ones and zeros per parameter name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from harness.method.train_options import Rewire
from harness.training.state import TrainingState


class Rewiring:
    """The rewirings of one epoch; when they come follows from the place on the schedule alone.

    Args:
        state: Its masks, weights, optimizer and average are changed in place.
        rule: How often and how much.
        steps: Steps of the epoch.
    """

    def __init__(self, state: TrainingState, rule: Rewire, steps: int) -> None:
        self._state = state
        self._rule = rule
        self._steps = steps
        self._first = round(state.schedule_epoch * steps)
        self._weights = state.masked()
        self._rewirer = Rewirer(state.masks)

    def is_due(self, step: int) -> bool:
        """Whether the masks move in place of this optimizer's step."""
        number = self._first + step
        ends = number >= self._rule.until_epoch * self._steps
        return number > 0 and number % self._rule.every_steps == 0 and not ends

    @torch.no_grad()
    def move(self, step: int) -> None:
        """Drop and grow; grown weights begin at zero, as does what the optimizer keeps of them."""
        progress = (self._first + step) / (self._rule.until_epoch * self._steps)
        fraction = self._rule.fraction * 0.5 * (1 + math.cos(math.pi * progress))
        gradients = {
            name: weight.grad for name, weight in self._weights.items() if weight.grad is not None
        }
        moved = self._rewirer.rewire(self._weights, gradients, self._state.masks, fraction)
        self._state.world.broadcast(moved.values())
        for name, weight in self._weights.items():
            mask = self._state.masks[name]
            stays = mask * moved[name]
            for kept in self._state.optimizer.state[weight].values():
                if kept.shape == weight.shape:
                    kept.mul_(stays)
            weight.mul_(stays)
            if name in self._state.average:
                self._state.average[name].mul_(stays)
            mask.copy_(moved[name])


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
