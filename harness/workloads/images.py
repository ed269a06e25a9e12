"""A data set as loaded, before it is split for validation: in memory, or as files."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from harness.errors import RunError

SPLIT_SEED = 20_200_426
"""One split for all runs, whatever their seed: results differ by training, not by the split."""


@dataclass(frozen=True)
class Images:
    """Images and labels for training and for the final test, in memory.

    Attributes:
        train_images: Shape (samples, channels, height, width); float32 from 0 to 1, or uint8.
        train_labels: Shape (samples,), int64.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
        classes: How many classes there are.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int

    @classmethod
    def held_out(cls, images: Tensor, labels: Tensor, test_share: float) -> Images:
        """Set a share of each class aside as the test set, for data that come without one."""
        train, test = stratified(labels, test_share)
        classes = int(labels.max()) + 1
        return cls(images[train], labels[train], images[test], labels[test], classes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image."""
        height, width = self.train_images.shape[-2:]
        return height, width


@dataclass(frozen=True)
class ImageFiles:
    """Paths of pictures, read as RGB, and their labels.

    Attributes:
        train_files: Paths.
        train_labels: Shape (samples,), int64.
        test_files: Like `train_files`.
        test_labels: Like `train_labels`.
        class_names: In the order of the labels.
    """

    train_files: list[str]
    train_labels: Tensor
    test_files: list[str]
    test_labels: Tensor
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)


def stratified(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Indices of the rest and of `share` of the samples, every class in proportion.

    Raises:
        RunError: A class is too small to be in both.
    """
    try:
        rest, part = train_test_split(
            torch.arange(len(labels)).numpy(),
            test_size=share,
            stratify=labels.numpy(),
            random_state=SPLIT_SEED,
        )
    except ValueError as error:
        raise RunError(
            f"a share of {share:g} of {len(labels)} training images cannot hold every class; set "
            f"workload.validation_share nearer to 0.5 or add images ({error})"
        ) from None
    return torch.from_numpy(rest), torch.from_numpy(part)


def as_float(images: Tensor) -> Tensor:
    """Pixels from 0 to 1, float32."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
