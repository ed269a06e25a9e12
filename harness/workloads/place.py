"""What opening a data set starts from and ends with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.settings import Training, WorkloadChoice
from harness.workloads.part import WHOLE, Part
from harness.workloads.source import Source


@dataclass(frozen=True)
class Opened:
    """The three parts of a data set.

    Attributes:
        example: One normalised training image as a batch, on the device.
    """

    train: Source
    validation: Source
    test: Source
    example: Tensor


@dataclass(frozen=True)
class Place:
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
        prefers = self.device.type == "cuda" and self.training.channels_last
        return torch.channels_last if prefers else torch.contiguous_format
