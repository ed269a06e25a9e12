"""A source that reads and augments sample by sample in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.batch import Batch
from harness.workloads.normalisation import Normalisation
from harness.workloads.part import WHOLE, Part
from harness.workloads.reader import PLAIN, Key, Pool
from harness.workloads.source import Batches, batches_of, evaluation_batch_size

SAMPLE_BATCH = 64


@dataclass(frozen=True)
class Shipping:
    """How batches come to the device.

    Attributes:
        device: Where to.
        layout: Memory format of the images.
        normalise: Applied there to images that come as 8-bit numbers.
    """

    device: torch.device
    layout: torch.memory_format
    normalise: Normalisation

    def __call__(self, images: Tensor, labels: Tensor) -> Batch:
        """The batch on the device; nothing waits for it if it lies in pinned memory."""
        moved = images.to(self.device, non_blocking=True)
        if moved.dtype == torch.uint8:
            moved = self.normalise(moved)
        ready = moved.contiguous(memory_format=self.layout)
        return Batch(ready, labels.to(self.device, non_blocking=True))


@dataclass(frozen=True)
class Loader:
    """One part of a data set, read as it is needed.

    Attributes:
        pool: Reads samples of all parts.
        numbers: Which of them are this part, shape (samples,).
        size: Height and width.
        ship: Brings batches to the device.
        part: This process's share; it reads no more than that.
    """

    pool: Pool
    numbers: Tensor
    size: tuple[int, int]
    ship: Shipping
    part: Part = WHOLE

    def __len__(self) -> int:
        return len(self.numbers)

    def epoch(self, batch_size: int, seed: int) -> Batches:
        """All samples once, shuffled, each augmented as its own seed says."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator)
        seeds = torch.randint(2**63 - 1, (len(self),), generator=generator)
        return self._batches(_Keys(self.numbers[order], seeds[order], batch_size, self.part))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie."""
        own = self.numbers[self.part.among(len(self))]
        return self._plain(own, batch_size or evaluation_batch_size(*self.size))

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples, not augmented."""
        generator = torch.Generator().manual_seed(seed)
        drawn = self.numbers[torch.randperm(len(self), generator=generator)[:count]]
        batches = list(self._plain(drawn, SAMPLE_BATCH))
        return Batch(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))

    def example(self) -> Tensor:
        """One image as a batch, read in this process."""
        return self.ship(*self.pool.read_here([(int(self.numbers[0]), PLAIN)])).images

    def _plain(self, numbers: Tensor, batch_size: int) -> Batches:
        return self._batches(_Keys(numbers, torch.full_like(numbers, PLAIN), batch_size))

    def _batches(self, keys: _Keys) -> Batches:
        return Batches(len(keys), lambda: (self.ship(*read) for read in self.pool.read(keys)))


@dataclass(frozen=True)
class _Keys:
    """Batches of keys, made as they are needed."""

    numbers: Tensor
    seeds: Tensor
    batch_size: int
    part: Part = WHOLE

    def __len__(self) -> int:
        return batches_of(len(self.numbers), self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for start in range(0, len(self.numbers), self.batch_size):
            batch = slice(start, start + self.batch_size)
            numbers, seeds = self.numbers[batch], self.seeds[batch]
            own = self.part.among(len(numbers))
            yield list(zip(numbers[own].tolist(), seeds[own].tolist(), strict=True))
