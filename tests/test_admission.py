"""What a device cannot carry out is found before anything runs, with the setting to change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.runner.device_check import why_not
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study

GPU = torch.device("cuda")


def spec_of(model: str, **training: Any) -> RunSpec:
    study = Study(
        name="tried",
        seeds=[0],
        workload={"data": "cifar10", "model": model},
        training=training,
        methods={"dense": {}},
    )
    (spec,) = expand(study, Registry.discover())
    return spec


@pytest.mark.parametrize(("model", "size"), [("vgg11", "(7, 7)"), ("alexnet", "(6, 6)")])
def test_layers_that_a_gpu_cannot_repeat_are_refused(model: str, size: str) -> None:
    reason = why_not(spec_of(f"torchvision/{model}", deterministic=True), GPU)
    assert reason is not None
    assert reason.startswith("training.deterministic: ")
    assert f"AdaptiveAvgPool2d(output_size={size})" in reason
    assert f"torchvision/{model}" in reason


@pytest.mark.parametrize(
    ("model", "device", "deterministic"),
    [
        ("torchvision/vgg11", GPU, False),
        ("torchvision/vgg11", torch.device("cpu"), True),
        ("torchvision/resnet18", GPU, True),  # an average over all pixels is a plain mean
        ("vgg16", GPU, True),
        ("resnet18", GPU, True),
        ("mobilenet_v2", GPU, True),
    ],
)
def test_others_are_not(model: str, device: torch.device, *, deterministic: bool) -> None:
    assert why_not(spec_of(model, deterministic=deterministic), device) is None


def test_a_model_that_cannot_be_built_without_memory_is_left_to_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as one that looks at its first weights."""

    def build(channels: int, classes: int) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(channels, classes))
        assert float(network[1].weight.detach().sum()) != 0
        return network

    monkeypatch.setattr("harness.runner.device_check.resolve_model", lambda _name: build)
    assert why_not(spec_of("resnet18", deterministic=True), GPU) is None
