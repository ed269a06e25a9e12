"""Images as loaded, their checks, and how samples with classes are split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice

SPLIT_SEED = 20_200_426
"""One split for all runs, whatever their seed: results differ by training, not by the split."""


@dataclass(frozen=True)
class Images:
    """Images and labels for training and for the final test, in memory.

    Attributes:
        train_images: Shape (samples, channels, height, width); float32 from 0 to 1, or uint8.
        train_labels: Shape (samples,), int64.
        test_images: Like `train_images`.
        test_labels: Like `train_labels`.
        classes: How many classes there are.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    task: ClassVar[str] = "classification"

    @property
    def outputs(self) -> int:
        """How many outputs a network has: one per class."""
        return self.classes

    @classmethod
    def held_out(cls, images: Tensor, labels: Tensor, test_share: float) -> Images:
        """Set a share of each class aside as the test set, for data that come without one."""
        train, test = stratified(labels, test_share)
        classes = int(labels.max()) + 1
        return cls(images[train], labels[train], images[test], labels[test], classes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image."""
        height, width = self.train_images.shape[-2:]
        return height, width

    def problem(self) -> str:
        """What is wrong with the images; empty if nothing is."""
        return _of_images(self)


@dataclass(frozen=True)
class ImageFiles:
    """Paths of pictures, read as RGB, and their labels.

    Attributes:
        train_files: Paths.
        train_labels: Shape (samples,), int64.
        test_files: Like `train_files`.
        test_labels: Like `train_labels`.
        class_names: In the order of the labels.
    """

    train_files: list[str]
    train_labels: Tensor
    test_files: list[str]
    test_labels: Tensor
    class_names: tuple[str, ...]
    task: ClassVar[str] = "classification"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def outputs(self) -> int:
        """How many outputs a network has: one per class."""
        return self.classes

    def problem(self) -> str:
        """What is wrong with paths and labels; the pictures are looked at when they are read."""
        return _of_files(self)


def stratified(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Indices of the rest and of `share` of the samples, every class in proportion.

    Raises:
        RunError: A class is too small to be in both.
    """
    try:
        rest, part = train_test_split(
            torch.arange(len(labels)).numpy(),
            test_size=share,
            stratify=labels.numpy(),
            random_state=SPLIT_SEED,
        )
    except ValueError as error:
        raise RunError(
            f"a share of {share:g} of {len(labels)} training samples cannot hold every class; set "
            f"workload.validation_share nearer to 0.5 or add samples ({error})"
        ) from None
    return torch.from_numpy(rest), torch.from_numpy(part)


def training_parts(labels: Tensor, choice: WorkloadChoice) -> tuple[Tensor, Tensor]:
    """Indices of the samples to train on and of those to validate on, every class in proportion.

    Args:
        labels: Of all training samples.
        choice: For `validation_share` and `train_samples`.

    Raises:
        RunError: There are too few of a class, or fewer than asked for.
    """
    rest, held_out = stratified(labels, choice.validation_share)
    wanted = choice.train_samples
    check_enough(len(rest), wanted)
    if wanted is None or wanted == len(rest):
        return rest, held_out
    try:
        some, _ = train_test_split(
            rest.numpy(),
            train_size=wanted,
            stratify=labels[rest].numpy(),
            random_state=SPLIT_SEED,
        )
    except ValueError as error:
        raise RunError(
            f"workload.train_samples = {wanted} cannot hold every class ({error})"
        ) from None
    return torch.from_numpy(some), held_out


def check_enough(samples: int, wanted: int | None) -> None:
    """Find out that fewer training samples are there than `workload.train_samples` asks for.

    Raises:
        RunError: There are.
    """
    if wanted is not None and wanted > samples:
        raise RunError(
            f"workload.train_samples = {wanted}: there are {samples} after validation; set it to "
            "at most that"
        )


def as_float(images: Tensor) -> Tensor:
    """Pixels from 0 to 1, float32."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


_PIXELS = "pixels are float32 from 0 to 1, or uint8"


def _of_images(images: Images) -> str:
    """What is wrong with images in memory; empty if nothing is."""
    parts = {
        "train": (images.train_images, images.train_labels),
        "test": (images.test_images, images.test_labels),
    }
    for part, (pixels, labels) in parts.items():
        problem = _of_pixels(pixels) or _of_labels(labels, len(pixels), images.classes)
        if problem:
            name, what = problem
            return f"{part}_{name}: {what}"
    train, test = images.train_images, images.test_images
    if train.dtype != test.dtype:
        return f"test_images: are {_named(test)}, but train_images are {_named(train)}"
    if train.shape[1:] != test.shape[1:]:
        return (
            f"test_images: have channels, height and width {tuple(test.shape[1:])}, but "
            f"train_images have {tuple(train.shape[1:])}"
        )
    return ""


def _of_pixels(pixels: Any) -> tuple[str, str] | None:
    if not isinstance(pixels, Tensor):
        return "images", f"must be a tensor, not {type(pixels).__name__}"
    if pixels.ndim != 4 or not pixels.numel():
        return "images", (
            "must have the shape (samples, channels, height, width) and hold some, not "
            f"{tuple(pixels.shape)}"
        )
    if pixels.dtype == torch.uint8:
        return None
    if pixels.dtype != torch.float32:
        return "images", f"are {_named(pixels)}; {_PIXELS}"
    low, high = (float(end) for end in torch.aminmax(pixels))
    if low != low or high == float("inf") or low == float("-inf"):
        return "images", "have pixels that are not finite numbers"
    if low < 0 or high > 1:
        hint = "; divide by 255, or convert to uint8" if low >= 0 and 1 < high <= 255 else ""
        return "images", f"have pixels from {low:g} to {high:g}; {_PIXELS}{hint}"
    return None


def _of_labels(labels: Any, samples: int, classes: Any) -> tuple[str, str] | None:
    if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.dtype != torch.int64:
        what = (
            f"{_named(labels)} of shape {tuple(labels.shape)}"
            if isinstance(labels, Tensor)
            else type(labels).__name__
        )
        return "labels", f"must be an int64 tensor of shape (samples,), not {what}"
    if len(labels) != samples:
        return "labels", f"there are {len(labels)} for {samples} images"
    if type(classes) is not int or classes < 2:
        return "labels", f"classes must be a whole number from 2, not {classes!r}"
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        return "labels", f"are {low} to {high}; {classes} classes have labels 0 to {classes - 1}"
    return None


def _of_files(files: ImageFiles) -> str:
    """What is wrong with paths and labels; the pictures are looked at when they are read."""
    parts = {
        "train": (files.train_files, files.train_labels),
        "test": (files.test_files, files.test_labels),
    }
    for part, (paths, labels) in parts.items():
        if not paths or not all(isinstance(path, str) for path in paths):
            return f"{part}_files: must be paths as texts, and some"
        problem = _of_labels(labels, len(paths), files.classes)
        if problem:
            return f"{part}_labels: {problem[1]}"
    return ""


def _named(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
