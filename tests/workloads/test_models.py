"""The networks have the sizes that their sources state, and take small images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.errors import UsageError
from harness.pruning.cost import size_of
from harness.settings.catalogue import MODELS, resolve_model
from harness.workloads.models.torchvision_nets import builder

# He et al.'s option A, counted without the projections of option B that ours have.
OPTION_A = {"resnet20": 269_722, "resnet56": 853_018}
PROJECTIONS = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: resolve_model(name)(3, 10) for name in MODELS}


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("vgg16", 14.72),
        ("resnet18", 11.17),
        ("resnet20", 0.27),
        ("resnet56", 0.86),
        ("preresnet101", 1.05),
        ("mobilenet_v2", 2.24),
    ],
)
def test_parameters_are_the_papers(
    networks: dict[str, nn.Module], name: str, millions: float
) -> None:
    parameters = size_of(networks[name], torch.zeros(1, 3, 32, 32), {}).parameters
    assert round(parameters / 1e6, 2) == millions
    if name in OPTION_A:
        assert parameters == OPTION_A[name] + PROJECTIONS


@pytest.mark.parametrize(
    ("name", "billions"), [("vgg16", 0.31), ("resnet18", 0.56), ("resnet56", 0.13)]
)
def test_multiply_accumulates_are_the_papers(
    networks: dict[str, nn.Module], name: str, billions: float
) -> None:
    macs = size_of(networks[name], torch.zeros(1, 3, 32, 32), {}).macs
    assert round(macs / 1e9, 2) == billions


@pytest.mark.parametrize(
    ("name", "weighted"),
    [
        ("vgg16", 13 + 1),
        ("resnet18", 18),
        ("resnet20", 20),
        ("resnet56", 56),
        ("preresnet101", 101),
    ],
)
def test_depth_is_what_the_name_says(
    networks: dict[str, nn.Module], name: str, weighted: int
) -> None:
    layers = [
        layer
        for path, layer in networks[name].named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
        and "shortcut" not in path
        and "projection" not in path
    ]
    assert len(layers) == weighted


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("side", [8, 28, 32])
def test_small_and_grey_images_are_taken(name: str, side: int) -> None:
    network = resolve_model(name)(1, 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, side, side)).shape == (2, 7)


def test_mobilenet_ends_at_a_size_for_32_pixels(networks: dict[str, nn.Module]) -> None:
    with torch.no_grad():
        features = networks["mobilenet_v2"].eval().features(torch.zeros(1, 3, 32, 32))
    assert features.shape == (1, 1280, 4, 4)


@pytest.mark.parametrize(
    ("name", "channels", "side"),
    [("resnet18", 3, 32), ("resnet18", 1, 32), ("googlenet", 3, 32), ("inception_v3", 2, 75)],
)
def test_torchvision_networks_are_built_by_name(name: str, channels: int, side: int) -> None:
    network = resolve_model(f"torchvision/{name}")(channels, 7)
    outputs = network.train()(torch.randn(2, channels, side, side))
    assert outputs.shape == (2, 7)


def test_a_first_convolution_for_other_channels_is_like_the_one_it_replaces() -> None:
    ours, theirs = builder("efficientnet_b0")(1, 7), builder("efficientnet_b0")(3, 7)
    assert repr(ours) == repr(theirs).replace("Conv2d(3,", "Conv2d(1,", 1)


def test_an_unknown_torchvision_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'torchvision/resnet5'; did you mean 'resnet\d+'"):
        resolve_model("torchvision/resnet5")


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "fcn_resnet50", "r3d_18"])
def test_networks_for_other_tasks_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="does not classify images"):
        builder(name)
