"""When the weight masks move within an epoch, and what the state makes of it (RigL)."""

from __future__ import annotations

import math

import torch

from harness.phases import Rewire
from harness.pruning.rewire import Rewirer
from harness.training.state import TrainingState


class Rewiring:
    """The rewirings of one epoch; when they come follows from the place on the schedule alone.

    Args:
        state: Its masks, weights and momentum are changed in place.
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
        """Drop and grow; grown weights begin at zero, without momentum."""
        progress = (self._first + step) / (self._rule.until_epoch * self._steps)
        fraction = self._rule.fraction * 0.5 * (1 + math.cos(math.pi * progress))
        gradients = {
            name: weight.grad for name, weight in self._weights.items() if weight.grad is not None
        }
        moved = self._rewirer.rewire(self._weights, gradients, self._state.masks, fraction)
        self._state.world.agree(moved.values())
        for name, weight in self._weights.items():
            mask = self._state.masks[name]
            stays = mask * moved[name]
            momentum = self._state.optimizer.state[weight].get("momentum_buffer")
            if momentum is not None:
                momentum.mul_(stays)
            weight.mul_(stays)
            mask.copy_(moved[name])
