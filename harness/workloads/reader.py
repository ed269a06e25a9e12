"""Reads samples by number, in this process or in worker processes with read-ahead."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing import connection, parent_process
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from harness.errors import RunError
from harness.workloads.pictures import Pictures
from harness.workloads.transforms import Transform

Key = tuple[int, int]
"""Number of a sample, and the seed of its augmentation."""
PLAIN = -1
"""In place of a seed: not augmented."""
Read = tuple[Tensor, Tensor]
"""Images and labels, on the CPU."""


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

    def __init__(self, reader: Reader, workers: int, pinned: bool) -> None:
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
    """What is to be read next, set anew for every epoch."""

    keys: Keys = ()

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _loader(reader: Reader, order: _Order, workers: int, pinned: bool) -> DataLoader[Read | str]:
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
