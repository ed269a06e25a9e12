"""Sources whose samples are on the device, where they are shuffled and augmented in batches.

Crop, flip and cutout are drawn per sample from a generator of the device, without waiting for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.pruning.batch import Batch
from harness.workloads.source import (
    WHOLE,
    Batches,
    Choose,
    Part,
    batches_of,
    evaluation_batch_size,
    numbered,
    samples_of_epoch,
    split,
)


class OnDevice(ABC):
    """One part of a data set whose samples are on the device and shuffled there in batches.

    Attributes:
        part: This process's share.
    """

    part: Part

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _plain(self, which: Tensor | slice) -> Batch:
        """These samples, not augmented."""

    @property
    @abstractmethod
    def _device(self) -> torch.device: ...

    def _drawn(self, order: Iterable[Tensor], _generator: torch.Generator) -> Iterator[Batch]:
        """This process's share of an epoch's batches."""
        return (self._plain(index[self.part.among(len(index))]) for index in order)

    def epoch(self, batch_size: int, seed: int, choose: Choose | None = None) -> Batches:
        """All samples once, shuffled and augmented, or those that are chosen."""
        samples = len(choose(self._order(self._generator(seed)))) if choose else len(self)
        count = batches_of(samples_of_epoch(samples, batch_size), batch_size)
        return Batches(count, lambda: self._epoch(batch_size, seed, choose))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie."""
        size = batch_size or evaluation_batch_size(self._plain(slice(0, 1)).inputs)
        own = self.part.among(len(self))
        starts = range(own.start, own.stop, size)
        ends = [min(start + size, own.stop) for start in starts]
        return Batches(len(starts), lambda: map(self._plain, map(slice, starts, ends)))

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples, not augmented."""
        return self._plain(self._order(self._generator(seed))[:count])

    def _epoch(self, batch_size: int, seed: int, choose: Choose | None) -> Iterator[Batch]:
        generator = self._generator(seed)
        order = self._order(generator)
        if choose:
            order = choose(order)
        order = order[: samples_of_epoch(len(order), batch_size)]
        numbers = split(order, batch_size)
        drawn = self._drawn(numbers, generator)
        return numbered(drawn, numbers, self.part) if choose else drawn

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self._device).manual_seed(seed)

    def _order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self), generator=generator, device=self._device)


@dataclass(frozen=True)
class Rows(OnDevice):
    """Samples as they are.

    Attributes:
        inputs: Shape (samples, ...).
        targets: Shape (samples, ...).
        part: This process's share.
    """

    inputs: Tensor
    targets: Tensor
    part: Part = WHOLE

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def _device(self) -> torch.device:
        return self.inputs.device

    def _plain(self, which: Tensor | slice) -> Batch:
        return Batch(self.inputs[which], self.targets[which])


@dataclass(frozen=True)
class Resident(OnDevice):
    """Images, which an epoch crops, mirrors and blanks.

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

    @property
    def _device(self) -> torch.device:
        return self.padded.device

    def _drawn(self, order: Iterable[Tensor], generator: torch.Generator) -> Iterator[Batch]:
        crops = windows(self.padded, self.padding)
        for index in order:
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


def windows(padded: Tensor, padding: int) -> Tensor:
    """Every crop of the old size out of padded images, as a view.

    Args:
        padded: Shape (samples, channels, height + 2 * padding, width + 2 * padding).
        padding: In pixels.

    Returns:
        Shape (samples, channels, top, left, height, width), no memory of its own.
    """
    height, width = (side - 2 * padding for side in padded.shape[-2:])
    return padded.unfold(2, height, 1).unfold(3, width, 1)


def random_crop(crops: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
    """One random crop each of the samples `index`.

    Picking the samples and cropping them is one pass over memory, five times as fast on a CPU as
    an index for every pixel.

    Args:
        crops: As `windows` gives them.
        index: Shape (batch,).
        generator: Draws an offset a sample.
    """
    places = (2, len(index))
    top, left = torch.randint(crops.shape[2], places, generator=generator, device=crops.device)
    return crops[index, :, top, left]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each sample left to right with probability one half."""
    device = images.device
    coin = torch.randint(2, (len(images), 1, 1, 1), generator=generator, device=device)
    columns = torch.arange(images.shape[-1], device=device)
    return images.gather(3, torch.where(coin == 1, columns.flip(0), columns).expand_as(images))


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Blank a random square with the mean, which is 0 (DeVries & Taylor, 2017).

    Its centre is any pixel, so that part of it may lie outside.

    Args:
        images: Normalised.
        size: Side of the square, in pixels.
        generator: Draws a centre a sample.
    """
    inside = [_spans(images, dim, size, generator) for dim in (2, 3)]
    return images.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0.0)


def _spans(images: Tensor, dim: int, size: int, generator: torch.Generator) -> Tensor:
    """Which places along `dim` the square covers, shape (samples, places)."""
    device = images.device
    places = torch.arange(images.shape[dim], device=device)
    shape = (len(images), 1)
    centre = torch.randint(len(places), shape, generator=generator, device=device)
    first = centre - size // 2
    return (places >= first) & (places < first + size)
