"""Images and labels that live on the device, and their order in an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """One part of a data set, resident on the device.

    Attributes:
        images: Normalised, shape (samples, channels, height, width), float32.
        labels: Shape (samples,), int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, generator: torch.Generator) -> Batches:
        """All samples once, in an order drawn from `generator`."""
        order = torch.randperm(len(self), generator=generator, device=self.images.device)
        return Batches(self, order.split(size))  # type: ignore[no-untyped-call]

    def in_order(self, size: int = 1024) -> Batches:
        """All samples once, as they lie."""
        order = torch.arange(len(self), device=self.images.device)
        return Batches(self, order.split(size))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch: a sized iterable of (images, labels)."""

    split: Split
    order: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in self.order:
            yield self.split.images[index], self.split.labels[index]
