"""Samples of any map-style data sets of torch, with transforms of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, default_collate

from harness.errors import RunError
from harness.pruning.batch import Batch
from harness.workloads.images import SPLIT_SEED, check_enough, training_parts
from harness.workloads.loader import PLAIN, Key, Loader, Pool, Read, Shipping
from harness.workloads.resident import Rows
from harness.workloads.source import LoadingContext, Opened, Source, evaluation_batch_size


@dataclass(frozen=True)
class Samples:
    """Data sets whose items are pairs of input and target: tensors, arrays or numbers.

    What they draw at random they draw from torch's, Python's or numpy's generator, which is seeded
    for every sample.

    Attributes:
        train: Training samples, a map-style `torch.utils.data.Dataset`, as training is to see them:
            augmented, if they are.
        test: Test samples.
        outputs: How many outputs a network has: one per class or value.
        task: Name of the task, such as "classification".
        plain: Training samples not augmented, in the same order, for validation and for questions
            about the network; None if `train` does not augment.
        labels: Classes of the training samples, shape (samples,), int64: validation then holds
            every class in proportion. None takes `train.targets` if there are such.
        identity: Says which data these are, such as a version: runs on data of another identity are
            not compared. Numbers of samples and labels are looked at in any case.
    """

    train: Dataset[Any]
    test: Dataset[Any]
    outputs: int
    task: str = "classification"
    plain: Dataset[Any] | None = None
    labels: Tensor | None = None
    identity: str = field(default="")

    def problem(self) -> str:
        """What is wrong with the data sets; empty if nothing is."""
        if type(self.outputs) is not int or self.outputs < 1:
            return f"outputs must be a whole number from 1, not {self.outputs!r}"
        for name in ("train", "test", "plain"):
            data: Any = getattr(self, name)
            if data is None and name == "plain":
                continue
            if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
                return f"{name}: must have __len__ and __getitem__, as map-style data sets do"
            if not len(data):
                return f"{name}: has no samples"
        if self.plain is not None and _size(self.plain) != _size(self.train):
            return f"plain: has {_size(self.plain)} samples, but train has {_size(self.train)}"
        if self.labels is not None and self.classes is None:
            return "labels: must be an int64 tensor of shape (samples,)"
        return ""

    @property
    def classes(self) -> Tensor | None:
        """The class of each training sample, shape (samples,); None if it is not known."""
        found = self.labels
        if found is None and self.task == "classification":
            found = getattr(self.train, "targets", None)
        if isinstance(found, list) and all(isinstance(each, int) for each in found):
            found = torch.tensor(found)
        if not isinstance(found, Tensor) or found.dtype != torch.int64:
            return None
        return found if found.shape == (_size(self.train),) else None


def _size(data: Any) -> int:
    return len(data)


class SamplesReader(Dataset[Read | str]):
    """All samples of three data sets, numbered one after the other; see `Reader`.

    Args:
        samples: The data sets; numbers from `len(train)` on are the test samples.
    """

    def __init__(self, samples: Samples) -> None:
        self._train: Any = samples.train
        self._plain: Any = samples.train if samples.plain is None else samples.plain
        self._test: Any = samples.test

    def __getitem__(self, keys: list[Key]) -> Read | str:
        """Inputs and targets, or what is wrong."""
        number = 0
        try:
            with _own_random_numbers():
                pairs = []
                for number, seed in keys:
                    pairs.append(self._read(number, seed))
                inputs, targets = default_collate(pairs)
        except Exception as error:  # noqa: BLE001 - whatever a data set of another package raises
            place = f"training sample {number}"
            if number >= len(self._train):
                place = f"test sample {number - len(self._train)}"
            return f"{place} or its batch cannot be read: {type(error).__name__}: {error}"
        return _in_single_precision(inputs), _in_single_precision(targets)

    def _read(self, number: int, seed: int) -> tuple[Any, Any]:
        drawn = number if seed == PLAIN else seed
        torch.default_generator.manual_seed(drawn)
        random.seed(drawn)
        np.random.seed(drawn % 2**32)
        if number >= len(self._train):
            read = self._test[number - len(self._train)]
        else:
            read = (self._plain if seed == PLAIN else self._train)[number]
        given, target = read
        return given, target


def _in_single_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float64 else tensor


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Within, generators may be seeded; afterwards they are as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def sample_sources(samples: Samples, context: LoadingContext) -> Opened:
    """Split off the validation set, and read samples as they are needed, or all at once.

    Raises:
        RunError: A sample cannot be read, or a setting does not fit.
    """
    choice = context.choice
    context.refuse_image_settings("samples with transforms of their own")
    if samples.classes is not None:
        rest, held_out = training_parts(samples.classes, choice)
    else:
        count = _size(samples.train)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
        held = max(1, round(count * choice.validation_share))
        rest, held_out = order[held:], order[:held]
        check_enough(len(rest), choice.train_samples)
        rest = rest[: choice.train_samples]
    first_test = _size(samples.train)
    test = torch.arange(first_test, first_test + _size(samples.test))
    pool = Pool(SamplesReader(samples), choice.workers, pinned=context.device.type == "cuda")
    ship = Shipping(context.device, context.layout)

    def read(numbers: Tensor) -> Batch:
        return ship(*pool.read_here([(number, PLAIN) for number in numbers.tolist()]))

    example = read(rest[:1]).inputs
    size = evaluation_batch_size(example)
    resident = choice.input == "resident" or (choice.input == "auto" and _is_in_memory(samples))
    if resident and samples.plain is not None:
        raise RunError(
            "workload.input = 'resident' reads each sample once, but these are augmented whenever "
            "they are read; set it to 'loader'"
        )

    def source(numbers: Tensor) -> Source:
        if not resident:
            return Loader(pool, numbers, size, ship, context.part)
        batch = read(numbers)
        return Rows(batch.inputs, batch.targets, context.part)

    return Opened(source(rest), source(held_out), source(test), example)


def _is_in_memory(samples: Samples) -> bool:
    """Whether the samples are tensors in memory, which nothing augments."""
    return isinstance(samples.train, TensorDataset) and isinstance(samples.test, TensorDataset)
