"""A state to train: digits and the small network, as a run has them."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def workload() -> Workload:
    choice = WorkloadChoice(data="digits", model="vgg_small")
    return open_workload(choice, RECIPE, torch.device("cpu"))


@pytest.fixture
def make_state(workload: Workload, tmp_path: Path) -> MakeState:
    def make(seed: int = 0, recipe: Training = RECIPE) -> TrainingState:
        return TrainingState(workload, recipe, seed, lambda name: tmp_path / f"{name}.pt")

    return make
