"""The interface of the input pipeline, and the share of each batch per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from harness.errors import RunError
from harness.pruning.batch import Batch
from harness.settings.settings import Training, WorkloadChoice, image_setting

if TYPE_CHECKING:
    from harness.workloads.transforms import Normalisation


@dataclass(frozen=True)
class Part:
    """One of `of` equal shares, or as equal as whole samples allow.

    Attributes:
        rank: Which, from 0.
        of: How many there are.
    """

    rank: int = 0
    of: int = 1

    def among(self, count: int) -> slice:
        """Which of `count` things in a row are this part's; the parts tile them."""
        return slice(count * self.rank // self.of, count * (self.rank + 1) // self.of)

    def size(self, count: int) -> int:
        """How many of `count` things are this part's."""
        return len(range(count)[self.among(count)])


WHOLE = Part()


Choose = Callable[[Tensor], Tensor]
"""From the numbers of an epoch's samples, in its order, to those that stay, in the same order."""

EVALUATION_PIXELS = 2**23
EVALUATION_TOKENS = 2**14
EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Batches:
    """A sized iterable of `Batch`; each iteration makes the same ones again.

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

    def epoch(self, batch_size: int, seed: int, choose: Choose | None = None) -> Batches:
        """All samples once, shuffled and augmented as `seed` says, the last batch shorter.

        But for a last batch of one, see `samples_of_epoch`. With `choose` the chosen ones, and
        batches have an `index`; what is not chosen is not read.
        """

    def in_order(self, batch_size: int | None = None) -> Batches:
        """All samples once, as they lie, not augmented; None takes a size fit for evaluation."""

    def sample(self, count: int, seed: int) -> Batch:
        """`count` different samples drawn with `seed`, not augmented; all if there are fewer."""


def samples_of_epoch(samples: int, batch_size: int) -> int:
    """How many of a number of samples an epoch trains on: all, but for a last batch of one.

    BatchNorm has no statistics of one sample. Which one an epoch leaves out follows from its order,
    so it is another in each, and the same for all methods. Where every batch has one, all stay.
    """
    leaves_one = samples > batch_size > 1 and samples % batch_size == 1
    return samples - leaves_one


def split(order: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """The numbers of each batch's samples; none of no samples, where torch makes an empty one."""
    return order.split(batch_size) if len(order) else ()  # type: ignore[no-untyped-call]


def numbered(batches: Iterable[Batch], numbers: Iterable[Tensor], part: Part) -> Iterator[Batch]:
    """Batches with the numbers of their samples.

    Args:
        batches: This process's share of each.
        numbers: Of the samples of each whole batch.
        part: Which share that is.
    """
    for batch, index in zip(batches, numbers, strict=True):
        own = index[part.among(len(index))]
        yield replace(batch, index=own.to(batch.targets.device))


def batches_of(samples: int, batch_size: int) -> int:
    """Number of batches for a number of samples."""
    return -(-samples // batch_size)


def sizes_of_batches(samples: int, batch_size: int) -> set[int]:
    """Batch sizes for a number of samples: the full one, and the last if it is smaller."""
    full = min(batch_size, samples)
    return {full, samples % full or full} if full else set()


def evaluation_batch_size(example: Tensor) -> int:
    """As large as speeds evaluation up, as small as large images and long texts need.

    Args:
        example: A batch of inputs; whole numbers are tokens.
    """
    most = EVALUATION_PIXELS if example.is_floating_point() else EVALUATION_TOKENS
    places = prod(example.shape[-2:] if example.ndim == 4 else example.shape[1:])
    return max(1, min(EVALUATION_BATCH, most // places))


@dataclass(frozen=True)
class LoadingContext:
    """Where samples go, and the settings that say how.

    Attributes:
        choice: The data set.
        training: The recipe.
        device: Where network and data live.
        part: This process's share of every batch.
    """

    choice: WorkloadChoice
    training: Training
    device: torch.device
    part: Part = WHOLE

    @property
    def layout(self) -> torch.memory_format:
        """Memory format of images and weights."""
        where = self.training.channels_last
        prefers = where == "always" or (where and self.device.type == "cuda")
        return torch.channels_last if prefers else torch.contiguous_format

    def refuse_image_settings(self, data: str) -> None:
        """Find out that a study asks for what only images can have.

        Args:
            data: What its data are, as a sentence says it.

        Raises:
            RunError: It does.
        """
        key = image_setting(self.choice, self.training)
        if key:
            raise RunError(f"{key} is for images, and the data are {data}; leave it out")


@dataclass(frozen=True)
class Opened:
    """The three parts of a data set.

    Attributes:
        example: One training sample's inputs as a batch, on the device.
        normalise: What images were normalised by; None if nothing was.
    """

    train: Source
    validation: Source
    test: Source
    example: Tensor
    normalise: Normalisation | None = None
