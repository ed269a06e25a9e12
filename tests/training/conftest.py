"""A state to train: digits and the small network, as a run has them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.settings.settings import Training, WorkloadChoice
from harness.training.state import TrainingState
from harness.workloads.workload import Workload, open_workload

RECIPE = Training(epochs=3, batch_size=128, schedule="cosine", crop_padding=1)
ADAMW = RECIPE.model_copy(
    update={
        "optimizer": "adamw",
        "learning_rate": 0.003,
        "weight_decay": 0.1,
        "weight_decay_of": "weights",
        "clip_norm": 1.0,
        "accumulate": 3,
        "ema": 0.9,
    }
)
RECIPES = pytest.mark.parametrize("recipe", [RECIPE, ADAMW], ids=["sgd", "adamw"])

MakeState = Callable[..., TrainingState]


MODELS = pytest.mark.parametrize(
    ("model", "recipe"),
    [("vgg_small", RECIPE), ("vgg_small", ADAMW), ("vit_tiny", ADAMW)],
    ids=["vgg sgd", "vgg adamw", "vit adamw"],
)


@functools.cache
def workload_of(model: str) -> Workload:
    """The digits and a model."""
    choice = WorkloadChoice(data="digits", model=model)
    return open_workload(choice, RECIPE, torch.device("cpu"))


@pytest.fixture(scope="session")
def workload() -> Workload:
    return workload_of("vgg_small")


@pytest.fixture
def make_state(tmp_path: Path) -> MakeState:
    def make(seed: int = 0, recipe: Training = RECIPE, model: str = "vgg_small") -> TrainingState:
        workload = workload_of(model)
        return TrainingState(workload, recipe, seed, lambda name: tmp_path / f"{name}.pt")

    return make
