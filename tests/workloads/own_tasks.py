"""Three tasks as another package writes them: data, a network, and what the score is."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from harness import Metric, Samples, Task


def paired(inputs: Tensor, targets: Tensor, outputs: int, task: str) -> Samples:
    """The last fifth is the test."""
    cut = len(inputs) * 4 // 5
    train = TensorDataset(inputs[:cut], targets[:cut])
    return Samples(train, TensorDataset(inputs[cut:], targets[cut:]), outputs, task)


# Regression: rows of numbers to a number.


class Regression(Task):
    """The squared error of a number."""

    metric = Metric("mean squared error", higher_is_better=False, lowest=0.0, margin=0.01)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).square()

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)


def slopes(_choice: Any) -> Samples:
    rows = torch.rand(400, 5, generator=torch.Generator().manual_seed(0))
    return paired(rows, rows @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]), 1, "regression")


def perceptron(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


# Several labels per sample.


class Labels(Task):
    """Any number of labels per sample; the score is the share of all that are right."""

    metric = Metric("label accuracy", "%", "points", lowest=0.0, highest=1.0, factor=100.0)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return each.mean(dim=1)

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs > 0) == (targets > 0.5)).float().mean(dim=1)


def signs(_choice: Any) -> Samples:
    rows = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    return paired(rows, (rows[:, :3] > 0).float(), 3, "labels")


# Segmentation: a class per pixel, of a network that returns a dictionary.


class Segmentation(Task):
    """The class of each pixel; the score is the intersection over the union of the second class."""

    metric = Metric("IoU", "%", "points", lowest=0.0, highest=1.0, factor=100.0)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none").mean(dim=(1, 2))

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        found, there = outputs.argmax(dim=1) == 1, targets == 1
        both, either = (found & there).sum(dim=(1, 2)), (found | there).sum(dim=(1, 2))
        return both / either.clamp(min=1)


def spots(_choice: Any) -> Samples:
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return paired(images, (images[:, 0] > 0.5).long(), 2, "segmentation")


class Pixels(nn.Sequential):
    def __init__(self, channels: int, classes: int) -> None:
        convolution = nn.Conv2d(channels, 8, 3, padding=1)
        super().__init__(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, classes, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(images)}


ENTRIES = """
[energy_harness.data]
slopes = tests.workloads.own_tasks:slopes
signs = tests.workloads.own_tasks:signs
spots = tests.workloads.own_tasks:spots
[energy_harness.models]
perceptron = tests.workloads.own_tasks:perceptron
pixels = tests.workloads.own_tasks:Pixels
[energy_harness.tasks]
regression = tests.workloads.own_tasks:Regression
labels = tests.workloads.own_tasks:Labels
segmentation = tests.workloads.own_tasks:Segmentation
"""
