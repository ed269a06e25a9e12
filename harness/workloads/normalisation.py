"""Normalisation by the mean and spread of the training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.workloads.images import as_float


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
