"""A source whose images live on the device; shuffling and augmentation are batched there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.batch import Batch
from harness.workloads.augment import cutout, random_crop, random_flip, windows
from harness.workloads.part import WHOLE, Part
from harness.workloads.source import Batches, batches_of, evaluation_batch_size


@dataclass(frozen=True)
class Resident:
    """One part of a data set, resident on the device.

    Attributes:
        padded: Normalised images, float32, shape (samples, channels, height + 2 * padding,
            width + 2 * padding).
        labels: Shape (samples,), int64.
        padding: Black pixels on every side that random crops may reach.
        flip: Whether an epoch mirrors images at random.
        cutout: Side of the square that an epoch blanks, in pixels; 0 for none.
        layout: Memory format of the batches.
        part: This process's share. An epoch's batches are made whole and then cut, so that they are
            the same however many processes share them; it costs little beside training.
    """

    padded: Tensor
    labels: Tensor
    padding: int = 0
    flip: bool = False
    cutout: int = 0
    layout: torch.memory_format = torch.contiguous_format
    part: Part = WHOLE

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """The images without their padding, a view."""
        height, width = self.padded.shape[-2:]
        inner = (
            slice(self.padding, height - self.padding),
            slice(self.padding, width - self.padding),
        )
        return self.padded[:, :, inner[0], inner[1]]

    def epoch(self, batch_size: int, seed: int) -> Batches:
        """All samples once, shuffled and augmented."""
        return Batches(batches_of(len(self), batch_size), lambda: self._epoch(batch_size, seed))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie."""
        images = self.images
        size = batch_size or evaluation_batch_size(*images.shape[-2:])
        own = self.part.among(len(self))
        starts = range(own.start, own.stop, size)
        ends = [min(start + size, own.stop) for start in starts]
        return Batches(len(starts), lambda: map(self._plain, map(slice, starts, ends)))

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples, not augmented."""
        return self._plain(self._order(self._generator(seed))[:count])

    def _epoch(self, batch_size: int, seed: int) -> Iterator[Batch]:
        generator = self._generator(seed)
        crops = windows(self.padded, self.padding)
        for index in self._order(generator).split(batch_size):  # type: ignore[no-untyped-call]
            images = random_crop(crops, index, generator) if self.padding else self.padded[index]
            if self.flip:
                images = random_flip(images, generator)
            if self.cutout:
                images = cutout(images, self.cutout, generator)
            own = self.part.among(len(index))
            yield Batch(images[own].contiguous(memory_format=self.layout), self.labels[index[own]])

    def _plain(self, which: Tensor | slice) -> Batch:
        images = self.images[which].contiguous(memory_format=self.layout)
        return Batch(images, self.labels[which])

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.padded.device).manual_seed(seed)

    def _order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self), generator=generator, device=self.padded.device)
