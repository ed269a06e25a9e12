"""A data set as loaded, before it is split for validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

SPLIT_SEED = 20_200_426
"""One split for all runs, whatever their seed: results differ by training, not by the split."""


@dataclass(frozen=True)
class Images:
    """Images and labels for training and for the final test.

    Attributes:
        train_images: Shape (samples, channels, height, width), values 0 to 1.
        train_labels: Shape (samples,), int64.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @classmethod
    def held_out(cls, images: Tensor, labels: Tensor, test_share: float) -> Images:
        """Set a share of each class aside as the test set, for data that come without one."""
        train, test = stratified(labels, test_share)
        return cls(images[train], labels[train], images[test], labels[test])

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.train_labels.max()) + 1


def stratified(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Indices of the rest and of `share` of the samples, every class in proportion."""
    rest, part = train_test_split(
        torch.arange(len(labels)).numpy(),
        test_size=share,
        stratify=labels.numpy(),
        random_state=SPLIT_SEED,
    )
    return torch.from_numpy(rest), torch.from_numpy(part)
