"""Tasks: how a network's outputs become a loss and a score, and what the score is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import torch.nn.functional as F
from torch import Tensor

from harness.errors import UsageError
from harness.settings.metric import ACCURACY, BITS_PER_BYTE, Metric

Reduction = Literal["mean", "sum", "none"]
Measure = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets of a batch to a number per sample, shape (samples,)."""


class Task:
    """How outputs become a loss and a score. A subclass with both is a task.

    Outputs come as the tensor in what the network returns (`harness.output_of`). Both functions
    compute on the device, and wait for nothing.

    Attributes:
        metric: What the score is.
        facts: Functions as `scores`, by name; their means on test data are recorded beside the
            score, as `test_NAME`.
        smooths_labels: Whether `training.label_smoothing` has a meaning for the targets.
    """

    metric: Metric
    facts: ClassVar[Mapping[str, Measure]] = {}
    smooths_labels: ClassVar[bool] = False

    @classmethod
    def of(cls, _data: Any) -> Self:
        """The task on a data set as it was loaded."""
        return cls()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, shape (samples,); training lowers their mean."""
        raise NotImplementedError(f"{type(self).__name__} has no losses")

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The score of each sample, shape (samples,); the score of a data set is their mean."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """The mean or the sum of the losses, a scalar; with "none" each sample's, shape (samples,).

        The sum is for a part of a batch: over the number of samples of the whole, the sums of all
        parts add up to its mean.

        Args:
            outputs: Of a batch.
            targets: Of the same batch.
            reduction: Mean, sum or none.
            label_smoothing: Share of each label that is spread over all classes.

        Raises:
            UsageError: Targets are no labels that could be smoothed.
        """
        if label_smoothing:
            raise UsageError(
                f"training.label_smoothing: the targets of {type(self).__name__} are no labels; "
                "set it to 0"
            )
        losses = self.losses(outputs, targets)
        if reduction == "none":
            return losses
        return losses.mean() if reduction == "mean" else losses.sum()


class Classification(Task):
    """One class per sample: cross-entropy, and the share of samples that are classified rightly."""

    metric = ACCURACY
    smooths_labels = True

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Task.losses`."""
        return F.cross_entropy(outputs, targets, reduction="none")

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Task.scores`."""
        return (outputs.argmax(dim=1) == targets).float()

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """See `Task.loss`."""
        return F.cross_entropy(
            outputs, targets, reduction=reduction, label_smoothing=label_smoothing
        )


def token_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of each sample's tokens that are the likeliest ones, shape (samples,)."""
    return (outputs.argmax(dim=-1) == targets).float().mean(dim=1)


class Language(Task):
    """The next token at each place: cross-entropy, and how many bits a byte of text takes.

    A sample's loss and score are means over its tokens.

    Args:
        bytes_per_token: How many bytes of text a token stands for, on average.
    """

    metric = BITS_PER_BYTE
    facts: ClassVar = {"token_accuracy": token_accuracy}
    smooths_labels = True

    def __init__(self, bytes_per_token: float = 1.0) -> None:
        self._bits = 1 / (math.log(2) * bytes_per_token)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Task.losses`."""
        each = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return each.reshape(targets.shape).mean(dim=1)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Task.scores`."""
        return self.losses(outputs, targets) * self._bits

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """See `Task.loss`."""
        total = F.cross_entropy(
            outputs.flatten(0, 1),
            targets.flatten(),
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        if reduction == "none":
            return total.reshape(targets.shape).mean(dim=1)
        return total if reduction == "mean" else total / targets.shape[1]
