"""torch.compile: its work has a window of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from harness import Train
from harness.runner.phase_executor import PhaseContext, execute
from harness.settings.settings import Training, WorkloadChoice
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload
from tests.conftest import thinned

RECIPE = Training(epochs=1, batch_size=512, schedule="cosine", compile=True)

pytestmark = [
    pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore"),  # the compiler's own
]


def small(channels: int, classes: int) -> nn.Module:
    """A network that is compiled in seconds."""
    pooled = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(channels, 4, 3), *pooled, nn.Linear(4, classes))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingState:
    # A pool of processes that compile costs more than it saves here.
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    # All batches, of training and of evaluation, have one size: each is compiled for itself.
    choice = WorkloadChoice(data="digits", model="vgg_small", train_samples=512)
    workload = open_workload(choice, RECIPE, torch.device("cpu"))
    workload = replace(workload, _builder=small)
    return TrainingState(workload, RECIPE, 0, lambda name: tmp_path / f"{name}.pt")


def windows_of(state: TrainingState, recipe: Training, epochs: int) -> list[str]:
    """The energy windows that a phase of this length opens."""
    windows: list[str] = []
    journal = SimpleNamespace(border=windows.append, event=lambda *_, **__: None)
    context = PhaseContext(state.workload, recipe, 0, state, journal, recall=lambda _method: None)
    execute(Train("train", epochs=epochs), context, 0, lambda _epoch: None)
    return windows


@pytest.mark.parametrize("backend", thinned(("aot_eager", "inductor"), ("aot_eager",)))
def test_it_has_a_window_of_its_own_whenever_the_network_is_new(
    backend: str, state: TrainingState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the compiler without its last part, which writes and compiles C++ for twenty seconds."""
    monkeypatch.setattr("harness.training.compiling.backend", backend)
    assert windows_of(state, RECIPE, epochs=0) == []
    assert windows_of(state, RECIPE, epochs=1) == ["compile", "train", "evaluation"]
    recipe = RECIPE.model_copy(update={"compile": False})
    plain = TrainingState(state.workload, recipe, 0, lambda name: tmp_path / name)
    assert windows_of(plain, recipe, epochs=1) == ["train", "evaluation"]
    for name, value in state.network.state_dict().items():
        torch.testing.assert_close(value, plain.network.state_dict()[name], atol=1e-4, rtol=1e-3)
    assert windows_of(state, RECIPE, epochs=1) == ["train", "evaluation"]
    state.reinitialise(draw=1)
    assert windows_of(state, RECIPE, epochs=1) == ["compile", "train", "evaluation"]
