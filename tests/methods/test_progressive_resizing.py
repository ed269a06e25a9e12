"""Progressive resizing has the sizes of Composer's schedule, and is refused where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from harness import Budget, Resize, Train
from harness.runner.device_check import why_not
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from methods.progressive_resizing import ProgressiveResizing
from tests.methods.played import epochs_of, played


def composers_width(width: int, elapsed: float, method: ProgressiveResizing) -> int:
    """`composer.algorithms.ProgressiveResizing.apply`, written from its description."""
    if elapsed >= method.delay:
        ramp = 1.0 - method.finetune - method.delay
        done = min((elapsed - method.delay) / ramp, 1.0)
    else:
        done = 0.0
    factor = method.initial_scale + (1.0 - method.initial_scale) * done
    return round(width * factor / method.multiple) * method.multiple


@pytest.mark.parametrize("width", [16, 28, 32, 224])
@pytest.mark.parametrize("epochs", [3, 10, 33])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"initial_scale": 0.25, "delay": 0.0, "finetune": 0.0},
        {"initial_scale": 0.7, "delay": 0.3, "finetune": 0.1, "multiple": 1},
    ],
)
def test_every_epoch_has_the_size_of_composers_schedule(
    width: int, epochs: int, settings: dict[str, float]
) -> None:
    method = ProgressiveResizing(**settings)
    phases = played(method, Budget(epochs))
    sides: list[int] = []
    for resize, training in zip(phases[::2], phases[1::2], strict=True):
        assert isinstance(resize, Resize)
        assert isinstance(training, Train)
        sides += [resize.side(width) or width] * training.epochs
    assert sides == [composers_width(width, n / epochs, method) for n in range(epochs)]
    assert epochs_of(phases) == epochs


def test_a_size_is_the_full_one_only_where_it_is_not_smaller() -> None:
    assert Resize().side(32) is None
    assert Resize(scale=0.99, multiple=4).side(32) is None
    assert Resize(scale=0.01, multiple=4).side(32) == 4
    assert Resize(6).side(32) == 6


def test_schedules_without_a_ramp_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave some of the budget"):
        ProgressiveResizing(delay=0.5, finetune=0.5)


def unpadded(channels: int, _classes: int) -> nn.Module:
    """A network that takes no image smaller than 5 x 5."""
    return nn.Sequential(nn.Conv2d(channels, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize(
    ("data", "model", "build", "reason"),
    [
        ("python_docs", "gpt_tiny", None, "and the samples of python_docs are none"),
        ("digits", "vgg_small", unpadded, "images of 4 × 4 pixels, which vgg_small"),
        ("digits", "vgg_small", None, None),
        ("digits", "vit_tiny", None, None),
    ],
)
def test_what_cannot_be_resized_is_refused_before_the_run(
    data: str, model: str, build: Any, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if build:
        monkeypatch.setattr("harness.runner.device_check.resolve_model", lambda _name: build)
    spec = RunSpec(
        study="tiny",
        arm="progressive_resizing",
        method="progressive_resizing",
        hyperparameters={},
        seed=0,
        workload=WorkloadChoice(data=data, model=model),
        training=Training(epochs=4),
        energy=EnergySettings(),
        plugins=(),
    )
    found = why_not(spec, torch.device("cpu"))
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")
