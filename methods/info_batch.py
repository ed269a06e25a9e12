"""InfoBatch (Qin et al., ICLR 2024, arXiv 2303.04947)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import Budget, Method, Phases, Ratio, Select, Train

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class InfoBatch(Method):
    """Leave out some of the samples that are learned already, and weigh those like them more.

    Before each epoch a share of the samples whose latest loss is below the mean is left out at
    random, and the gradients of those below the mean that stay are scaled up, so that the sum of
    all is the same in expectation. The last epochs train on all samples. A sample that is left out
    keeps its old loss. Epochs become shorter; the learning rate falls along the epochs as dense's.

    As in the official code, and unlike in the paper's text, exactly the share is left out, not each
    sample with that probability.
    """

    prune_ratio: Ratio = 0.5
    """Share of the samples below the mean loss to leave out (r in the paper)."""
    anneal: Ratio = 0.125
    """Share of the budget, at its end, that trains on all samples (1 - delta in the paper)."""

    def phases(self, budget: Budget) -> Phases:
        pruned = int(budget.epochs * (1 - self.anneal))
        select = Select(prune_below_mean(self.prune_ratio))
        yield Train("train", epochs=pruned, select=select)
        yield Train("anneal", epochs=budget.epochs - pruned)


@dataclass(frozen=True)
class prune_below_mean:  # noqa: N801 - reads as the function it stands for
    """Weights of samples by InfoBatch's rule.

    Attributes:
        ratio: Share of the samples below the mean to leave out.
    """

    ratio: float

    def __call__(
        self, losses: Tensor, _batches: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        """Samples that were never seen count as not learned."""
        import torch

        weights = torch.ones_like(losses)
        learned = (losses < losses.nanmean()).nonzero().flatten()
        kept = int((1 - self.ratio) * len(learned))
        order = torch.randperm(len(learned), generator=generator)
        weights[learned] = 0.0
        weights[learned[order[:kept]]] = 1 / (1 - self.ratio)
        return weights
