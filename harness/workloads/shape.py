"""What a network sees of a data set: the shape of its samples, and how many outputs it has.

Of images it is known without reading them, so that a plan needs none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from harness.errors import RunError, UsageError
from harness.settings.catalogue import DATA
from harness.settings.settings import WorkloadChoice
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.files import (
    BY_HAND,
    class_folders,
    missing,
    pictures_below,
    root_of,
    text_files,
)
from harness.workloads.image_files import size_of
from harness.workloads.images import Images
from harness.workloads.loaded import Loaded, checked
from harness.workloads.loader import PLAIN
from harness.workloads.python_docs import python_documentation
from harness.workloads.samples import Samples, SamplesReader
from harness.workloads.tokens import Tokens


@dataclass(frozen=True)
class Shape:
    """Of samples as they reach the network.

    Attributes:
        sample: Of one sample's inputs: channels, height and width of an image.
        outputs: How many outputs the network has: one per class, token or value.
        task: The name of the task that the data are for.
        are_tokens: Whether inputs are ids of tokens, below `outputs`.
        are_images: Whether inputs are images that the harness crops and mirrors.
    """

    sample: tuple[int, ...]
    outputs: int
    task: str = "classification"
    are_tokens: bool = False
    are_images: bool = True

    @property
    def is_grey(self) -> bool:
        """Whether samples are images of one channel."""
        return len(self.sample) == 3 and self.sample[0] == 1

    def in_colour(self) -> Shape:
        """The same with three channels."""
        return replace(self, sample=(3, *self.sample[1:]))

    def at(self, side: int | None) -> Shape:
        """The same, cut to squares if the study asks for it."""
        return replace(self, sample=(self.sample[0], side, side)) if side else self


_KNOWN = {
    "digits": Shape((1, 8, 8), 10),
    "mnist": Shape((1, 28, 28), 10),
    "fashion_mnist": Shape((1, 28, 28), 10),
    "cifar10": Shape((3, 32, 32), 10),
    "cifar100": Shape((3, 32, 32), 100),
}


def shape_of(choice: WorkloadChoice) -> Shape | None:
    """Of data that come with the harness; None if they are not there.

    Raises:
        UsageError: A sample cannot be read.
    """
    if choice.data in _KNOWN:
        return _KNOWN[choice.data].at(choice.image_size)
    try:
        if choice.data == "python_docs":
            return _of_text([python_documentation()], choice)
        if missing(choice):
            return None
        if choice.data == "text":
            return _of_text((path.read_bytes() for path in text_files(choice)), choice)
        return _of_folder(choice) if choice.data in BY_HAND else None
    except RunError as error:
        raise UsageError(str(error)) from None


def _of_text(texts: Iterable[bytes], choice: WorkloadChoice) -> Shape:
    different: set[int] = set().union(*texts)
    return Shape((choice.context,), len(different), "language", are_tokens=True, are_images=False)


def _of_folder(choice: WorkloadChoice) -> Shape | None:
    train = root_of(choice) / "train"
    names = class_folders(train)
    first = next(chain.from_iterable(pictures_below(train / name) for name in names), None)
    return Shape((3, *size_of(first)), len(names)).at(choice.image_size) if first else None


@dataclass(frozen=True)
class ForeignData:
    """Data of another package, after a look at them."""

    identity: dict[str, Any]
    shape: Shape


def look_at(choice: WorkloadChoice) -> ForeignData:
    """Load the data of another package and look at them, before any run.

    Raises:
        UsageError: They do not load, or are not as they must be.
    """
    try:
        loaded = checked(DATA.load(choice.data)(choice), choice)
        return ForeignData(identity_of(choice, loaded), _shape_of_loaded(loaded, choice))
    except UsageError:
        raise
    except RunError as error:
        raise UsageError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever another package raises is a message, not a traceback
        raise UsageError(
            f"workload.data '{choice.data}': does not load: {type(error).__name__}: {error}"
        ) from None


def _shape_of_loaded(loaded: Loaded, choice: WorkloadChoice) -> Shape:
    if isinstance(loaded, Tokens):
        return Shape(
            (choice.context,), loaded.outputs, loaded.task, are_tokens=True, are_images=False
        )
    if isinstance(loaded, Samples):
        read = SamplesReader(loaded)[[(0, PLAIN)]]
        if isinstance(read, str):
            raise RunError(f"workload.data '{choice.data}': {read}")
        sample = read[0]
        shape = Shape(tuple(sample.shape[1:]), loaded.outputs, loaded.task)
        return replace(shape, are_tokens=not sample.is_floating_point(), are_images=False)
    if isinstance(loaded, Images):
        shape = Shape((loaded.train_images.shape[1], *loaded.size), loaded.classes)
    else:
        shape = Shape((3, *size_of(loaded.train_files[0])), loaded.classes)
    return shape.at(choice.image_size)
