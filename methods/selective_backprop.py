"""Selective backpropagation (Jiang et al., 2019, arXiv 1910.00762; as in "No Train No Gain")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import Budget, Method, Phases, Positive, Select, Train

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class SelectiveBackprop(Method):
    """Find every sample's loss by a forward pass, and train on those whose loss is high.

    A sample is trained on with the probability p to the power of `selectivity`, where p is the
    share of the losses that are not above its own. What is kept is gathered until it makes a full
    mini-batch. The forward passes over all samples are paid for; that they eat up the gain is what
    Kaddour et al. found ("No Train No Gain", NeurIPS 2023, arXiv 2307.06440), whose code this
    follows.

    Deviations from that code: losses are compared with the latest loss of each sample, where the
    code compares them with the last 5000; what is gathered at the end of an epoch makes a shorter
    mini-batch, where the code keeps it for the next one; and the forward pass is in evaluation
    mode, so that statistics of BatchNorm do not see every sample twice.
    """

    selectivity: Positive = 1.0
    """Power of the probability: 1 keeps about 50 %, 2 about 33 % (beta in the paper)."""

    def phases(self, budget: Budget) -> Phases:
        select = Select(keep_high_losses(self.selectivity), looks=True)
        yield Train("train", epochs=budget.epochs, select=select)


@dataclass(frozen=True)
class keep_high_losses:  # noqa: N801 - reads as the function it stands for
    """Weights of samples where those with high losses are likelier to stay.

    Attributes:
        selectivity: Power of the probability to stay.
    """

    selectivity: float

    def __call__(
        self, losses: Tensor, batches: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        """1 for what stays of the batches, 0 for all else."""
        import torch

        known = losses[~losses.isnan()].sort().values
        weights = torch.zeros_like(losses)
        for batch in batches:
            own = losses[batch]
            # The mean of the ranks that equal losses share, as scipy's percentileofscore has it.
            below, upto = (torch.searchsorted(known, own, right=right) for right in (False, True))
            share = (below + upto + (upto > below)) / (2 * len(known))
            drawn = torch.rand(len(own), generator=generator)
            weights[batch] = (drawn < share**self.selectivity).float()
        return weights
