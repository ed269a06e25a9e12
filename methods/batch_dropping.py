"""Stochastic mini-batch dropping (of E2-Train, Wang et al., NeurIPS 2019, arXiv 1910.13349)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import Budget, Method, Phases, Ratio, Select, Train

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class BatchDropping(Method):
    """Skip each mini-batch with a probability, all through training.

    The learning rate falls along the epochs as dense's, so that about that share of the steps is
    missing everywhere on the schedule. Its control is `dense_short` with the share of the steps
    that is left: as many steps, on a schedule of their own length.

    E2-Train's two other parts, selective layer update and predictive sign gradients, are not in it.
    """

    probability: Ratio = 0.5
    """Of a mini-batch to be skipped (the paper: 0.5)."""

    def phases(self, budget: Budget) -> Phases:
        yield Train("train", epochs=budget.epochs, select=Select(drop_batches(self.probability)))


@dataclass(frozen=True)
class drop_batches:  # noqa: N801 - reads as the function it stands for
    """Weights of samples where whole mini-batches are left out.

    Attributes:
        probability: Of a mini-batch to be left out.
    """

    probability: float

    def __call__(
        self, losses: Tensor, batches: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        """A coin for each mini-batch."""
        import torch

        weights = torch.ones_like(losses)
        drops = torch.rand(len(batches), generator=generator) < self.probability
        for batch, drop in zip(batches, drops.tolist(), strict=True):
            if drop:
                weights[batch] = 0.0
        return weights
