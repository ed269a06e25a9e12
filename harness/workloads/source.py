"""Where samples come from: what training and evaluation know of the input pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.batch import Batch

EVALUATION_PIXELS = 2**23
EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Batches:
    """A sized iterable of `Batch`; each iteration makes the same ones anew.

    Attributes:
        count: How many there are.
        make: Begins to make them.
    """

    count: int
    make: Callable[[], Iterator[Batch]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        return self.make()


class Source(Protocol):
    """One part of a data set. What it gives follows from its arguments alone."""

    def __len__(self) -> int:
        """How many samples there are."""

    def epoch(self, batch_size: int, seed: int) -> Batches:
        """All samples once, shuffled and augmented as `seed` says, the last batch shorter."""

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie, not augmented; None takes a size fit for evaluation."""

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples drawn with `seed`, not augmented; all if there are fewer."""


def batches_of(samples: int, batch_size: int) -> int:
    """How many batches hold so many samples."""
    return -(-samples // batch_size)


def sizes_of_batches(samples: int, batch_size: int) -> set[int]:
    """Of the batches that hold so many samples: the full one, and the last where it is smaller."""
    full = min(batch_size, samples)
    return {full, samples % full or full} if full else set()


def evaluation_batch_size(height: int, width: int) -> int:
    """As large as speeds evaluation up, as small as large images need."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (height * width)))
