"""Transforms of single images, as in torchvision's usual recipes, and normalisation.

They draw from torch's generator of the process, which the reader seeds for every sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms

from harness.settings.settings import Training
from harness.workloads.images import as_float

Transform = Callable[[Any], Any]

ZOOM = 256 / 224
"""Of random-size crops, objects look larger than they are; evaluation cuts out the centre of a
picture that is larger by as much, as the recipe of ImageNet does."""


class Cutout:
    """Blank a random square whose centre is any pixel (DeVries & Taylor, 2017).

    Args:
        size: Side of the square, in pixels.
        fill: The mean, shape (channels, 1, 1).
    """

    def __init__(self, size: int, fill: Tensor) -> None:
        self._size = size
        self._fill = fill

    def __call__(self, image: Tensor) -> Tensor:
        """The image with its square, changed in place."""
        top, left = (int(torch.randint(side, ())) - self._size // 2 for side in image.shape[1:])
        rows = slice(max(top, 0), max(top + self._size, 0))
        columns = slice(max(left, 0), max(left + self._size, 0))
        image[:, rows, columns] = self._fill
        return image


def framing(image_size: int | None) -> list[Transform]:
    """Bring the shorter side to `image_size` and cut out the centre; None leaves pictures alone."""
    if image_size is None:
        return []
    return [transforms.Resize(image_size), transforms.CenterCrop(image_size)]


def plain(training: Training, image_size: int | None, size: tuple[int, int]) -> list[Transform]:
    """What evaluation does to a picture.

    Args:
        training: The recipe.
        image_size: The setting.
        size: Height and width of the result.
    """
    if training.resized_crop:
        return [transforms.Resize(round(min(size) * ZOOM)), transforms.CenterCrop(size)]
    return framing(image_size)


def augmented(training: Training, image_size: int | None, size: tuple[int, int]) -> list[Transform]:
    """What training does to a picture, but for cutout; arguments as for `plain`."""
    if training.resized_crop:
        steps: list[Transform] = [transforms.RandomResizedCrop(size)]
    else:
        steps = framing(image_size)
        if training.crop_padding:
            steps.append(transforms.RandomCrop(size, padding=training.crop_padding))
    if training.flip:
        steps.append(transforms.RandomHorizontalFlip())
    return steps


def to_floats(normalise: Normalisation) -> list[Transform]:
    """To a normalised tensor."""
    mean, spread = normalise.mean.flatten().tolist(), normalise.spread.flatten().tolist()
    return [transforms.ToTensor(), transforms.Normalize(mean, spread)]


def to_bytes() -> list[Transform]:
    """To a tensor of 8-bit numbers, a quarter as large; it is normalised on the device."""
    return [transforms.PILToTensor()]


def chain(steps: list[Transform]) -> Transform:
    """One transform of several."""
    composed: Transform = transforms.Compose(steps)
    return composed


@dataclass(frozen=True)
class Normalisation:
    """What makes training pixels zero on average, with a spread of one, channel by channel.

    Attributes:
        mean: Shape (channels, 1, 1), pixels from 0 to 1.
        spread: Standard deviation, likewise; 1 for a channel without contrast.
    """

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """By the pixels of these images, shape (samples, channels, height, width)."""
        spread, mean = torch.std_mean(as_float(images), dim=(0, 2, 3), keepdim=True)
        return cls(mean[0], torch.where(spread[0] > 0, spread[0], 1.0))

    def on(self, device: torch.device) -> Normalisation:
        """The same, for images on `device`."""
        return Normalisation(self.mean.to(device), self.spread.to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """The images normalised, float32."""
        return (as_float(images) - self.mean) / self.spread
