"""A source that reads and augments sample by sample, in worker processes that read ahead."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from harness.errors import RunError
from harness.pruning.batch import Batch
from harness.workloads.image_files import Pictures
from harness.workloads.source import (
    WHOLE,
    Batches,
    Choose,
    Part,
    batches_of,
    numbered,
    samples_of_epoch,
    split,
)
from harness.workloads.transforms import Normalisation, Transform

SAMPLE_BATCH = 64


@dataclass(frozen=True)
class Shipping:
    """How batches come to the device.

    Attributes:
        device: Where to.
        layout: Memory format of images.
        normalise: Applied there to images that come as 8-bit numbers; None leaves all as it is.
    """

    device: torch.device
    layout: torch.memory_format
    normalise: Normalisation | None = None

    def __call__(self, inputs: Tensor, targets: Tensor) -> Batch:
        """The batch on the device; nothing waits for it if it is in pinned memory."""
        # Other devices may still copy from memory that is free again.
        unawaited = self.device.type == "cuda"
        moved = inputs.to(self.device, non_blocking=unawaited)
        if self.normalise and moved.dtype == torch.uint8:
            moved = self.normalise(moved)
        if moved.ndim == 4:
            moved = moved.contiguous(memory_format=self.layout)
        return Batch(moved, targets.to(self.device, non_blocking=unawaited))


@dataclass(frozen=True)
class Loader:
    """One part of a data set, read as it is needed.

    Attributes:
        pool: Reads samples of all parts.
        numbers: Which of them are this part, shape (samples,).
        evaluation_size: Samples of a batch in evaluation.
        ship: Brings batches to the device.
        part: This process's share; it reads no more than that.
    """

    pool: Pool
    numbers: Tensor
    evaluation_size: int
    ship: Shipping
    part: Part = WHOLE

    def __len__(self) -> int:
        return len(self.numbers)

    def epoch(self, batch_size: int, seed: int, choose: Choose | None = None) -> Batches:
        """All samples once, or those that are chosen, shuffled, augmented by seeds of their own."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator)
        seeds = torch.randint(2**63 - 1, (len(self),), generator=generator)
        if choose:
            order = choose(order)
        order = order[: samples_of_epoch(len(order), batch_size)]
        drawn = self._batches(_Keys(self.numbers[order], seeds[order], batch_size, self.part))
        if choose is None:
            return drawn
        numbers = split(order, batch_size)
        return Batches(len(drawn), lambda: numbered(drawn, numbers, self.part))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie."""
        own = self.numbers[self.part.among(len(self))]
        return self._plain(own, batch_size or self.evaluation_size)

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples, not augmented."""
        generator = torch.Generator().manual_seed(seed)
        drawn = self.numbers[torch.randperm(len(self), generator=generator)[:count]]
        batches = list(self._plain(drawn, SAMPLE_BATCH))
        return Batch(
            torch.cat([batch.inputs for batch in batches]),
            torch.cat([batch.targets for batch in batches]),
        )

    def example(self) -> Tensor:
        """One sample's inputs as a batch, read in this process."""
        return self.ship(*self.pool.read_here([(int(self.numbers[0]), PLAIN)])).inputs

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


Key = tuple[int, int]
"""Number of a sample, and the seed of its augmentation."""
PLAIN = -1
"""In place of a seed: not augmented."""
Read = tuple[Tensor, Tensor]
"""Inputs and targets, on the CPU."""


class Reader(Dataset[Read | str]):
    """All samples of a workload: batches of keys in, batches of tensors out.

    What comes out follows from the keys alone, whichever process reads.

    Args:
        pictures: By number.
        labels: By number, shape (samples,).
        augmented: From a picture to a tensor, for training.
        plain: From a picture to a tensor, for everything else.
    """

    def __init__(
        self, pictures: Pictures, labels: Tensor, augmented: Transform, plain: Transform
    ) -> None:
        self._pictures = pictures
        self._labels = labels
        self._augmented = augmented
        self._plain = plain

    def __getitem__(self, keys: list[Key]) -> Read | str:
        """Images and labels, or what is wrong: an exception would bring a worker's traceback."""
        try:
            with torch.random.fork_rng(devices=[]):
                images = [self._read(number, seed) for number, seed in keys]
        except RunError as error:
            return str(error)
        return default_collate(images), self._labels[[number for number, _ in keys]]

    def _read(self, number: int, seed: int) -> Tensor:
        if seed != PLAIN:
            # Not torch.manual_seed, which would seed the GPU, too.
            torch.default_generator.manual_seed(seed)
        transform = self._plain if seed == PLAIN else self._augmented
        tensor: Tensor = transform(self._pictures[number])
        return tensor


class Keys(Protocol):
    """A sized iterable of batches of keys."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[Key]]: ...


class Pool:
    """A reader with worker processes that read ahead; one batch after the other comes out.

    The processes start with the first batch, stay for the next epoch, and end with this process.

    Args:
        reader: What reads.
        workers: How many processes; 0 reads in this one.
        pinned: Put batches where a GPU can copy them from while it computes.
    """

    def __init__(self, reader: Dataset[Read | str], workers: int, pinned: bool) -> None:
        self._reader = reader
        self._order = _Order()
        self._loader = _loader(reader, self._order, workers, pinned) if workers else None

    def read(self, keys: Keys) -> Iterator[Read]:
        """The batches of these keys, in order; one such iteration at a time.

        Raises:
            RunError: A sample cannot be read.
        """
        self._order.keys = keys
        for batch in self._batches(keys):
            if self._order.keys is not keys:
                break
            if isinstance(batch, str):
                raise RunError(batch)
            yield batch
        if self._order.keys is not keys:
            raise RuntimeError("another iteration over the same samples began meanwhile")

    def read_here(self, keys: list[Key]) -> Read:
        """One batch, read in this process."""
        batch = self._reader[keys]
        if isinstance(batch, str):
            raise RunError(batch)
        return batch

    def _batches(self, keys: Keys) -> Iterable[Read | str]:
        if self._loader is None:
            return map(self._reader.__getitem__, keys)
        with _unasked_advice():
            return iter(self._loader)


class _Order(Sampler[list[Key]]):
    """What is to be read next, set for every epoch."""

    keys: Keys = ()

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _loader(
    reader: Dataset[Read | str], order: _Order, workers: int, pinned: bool
) -> DataLoader[Read | str]:
    with _unasked_advice():
        return DataLoader(
            reader,
            batch_size=None,  # the keys come in batches
            sampler=order,
            num_workers=workers,
            persistent_workers=True,
            pin_memory=pinned,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_with_parent,
            generator=torch.Generator(),  # else it draws a seed from the global one
            multiprocessing_context="fork" if sys.platform == "linux" else None,
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def _unasked_advice() -> warnings.catch_warnings[None]:
    """Silence about more workers than CPUs, which is the study's choice, and about forking.

    Python 3.12 and newer warn of every fork of a process with threads. What could hang in the child
    is a thread pool of the parent; torch gives a worker one thread, which needs none.
    """
    return warnings.catch_warnings(action="ignore")


def _leave_with_parent(_worker: int) -> None:
    """End a worker at once when the run's process is gone, even if it was killed.

    Until then a signal to everybody, as a queue sends it, is the run's to answer: of a loader that
    died under it, it would think that something failed.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
