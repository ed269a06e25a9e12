"""What a network sees of a data set: the shape of its images and the number of classes.

It is known without reading the data, so that a plan needs none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from harness.errors import RunError, UsageError
from harness.settings.catalogue import DATA
from harness.settings.settings import WorkloadChoice
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.files import BY_HAND, class_folders, missing, pictures_below, root_of
from harness.workloads.image_files import size_of
from harness.workloads.images import ImageFiles, Images, checked


@dataclass(frozen=True)
class Shape:
    """Of images as they reach the network.

    Attributes:
        channels: Per image.
        height: In pixels.
        width: In pixels.
        classes: How many there are.
    """

    channels: int
    height: int
    width: int
    classes: int

    def in_colour(self) -> Shape:
        """The same with three channels."""
        return replace(self, channels=3)

    def at(self, side: int | None) -> Shape:
        """The same, cut to squares if the study asks for it."""
        return replace(self, height=side, width=side) if side else self


_KNOWN = {
    "digits": Shape(1, 8, 8, 10),
    "mnist": Shape(1, 28, 28, 10),
    "fashion_mnist": Shape(1, 28, 28, 10),
    "cifar10": Shape(3, 32, 32, 10),
    "cifar100": Shape(3, 32, 32, 100),
}


def shape_of(choice: WorkloadChoice) -> Shape | None:
    """Of data that come with the harness; None if they are not there.

    Raises:
        UsageError: A picture cannot be read.
    """
    if choice.data in _KNOWN:
        return _KNOWN[choice.data].at(choice.image_size)
    if choice.data not in BY_HAND or missing(choice):
        return None
    train = root_of(choice) / "train"
    names = class_folders(train)
    first = next(chain.from_iterable(pictures_below(train / name) for name in names), None)
    if first is None:
        return None
    try:
        return Shape(3, *size_of(first), len(names)).at(choice.image_size)
    except RunError as error:
        raise UsageError(str(error)) from None


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


def _shape_of_loaded(loaded: Images | ImageFiles, choice: WorkloadChoice) -> Shape:
    if isinstance(loaded, Images):
        shape = Shape(loaded.train_images.shape[1], *loaded.size, loaded.classes)
    else:
        shape = Shape(3, *size_of(loaded.train_files[0]), loaded.classes)
    return shape.at(choice.image_size)
