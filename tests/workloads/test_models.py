"""The networks have the sizes that their sources state, and take small images."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from harness.errors import UsageError
from harness.pruning.batch import Batch
from harness.pruning.channels import missing_gates, shrink
from harness.pruning.cost import size_of
from harness.pruning.gates import fold_gates
from harness.pruning.questions import uniform_channels
from harness.settings.catalogue import MODELS, resolve_model
from harness.settings.settings import WorkloadChoice
from harness.workloads.models.torchvision_nets import builder
from harness.workloads.models.transformers import positions

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
        ("resnet18_gn", 11.17),
        ("vit_tiny", 0.45),
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


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gpt_tiny"])
@pytest.mark.parametrize("side", [8, 28, 32])
def test_small_and_grey_images_are_taken(name: str, side: int) -> None:
    network = resolve_model(name)(1, 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, side, side)).shape == (2, 7)


def shape_of(heads: int, neurons: int) -> tuple[int, int]:
    """Parameters and MACs of `gpt_tiny` by hand, of these heads and neurons a block."""
    places, width, words, inner = 64, 96, 107, 16 * heads
    attention = 3 * (width * inner + inner) + inner * width + width
    feed_forward = width * neurons + neurons + neurons * width + width
    block = attention + feed_forward + 2 * 2 * width
    parameters = 3 * block + (words + places) * width + 2 * width + width * words + words
    products = 4 * width * inner + 2 * width * neurons
    macs = 3 * (places * products + 2 * places**2 * inner) + places * width * words
    return parameters, macs


def test_the_language_model_costs_what_one_counts_by_hand_also_when_shrunk() -> None:
    network, tokens = resolve_model("gpt_tiny")(64, 107), torch.zeros(2, 64, dtype=torch.int64)
    size = size_of(network, tokens, {})
    assert ((size.parameters, size.macs), size.uncounted) == (shape_of(6, 384), ())
    missing_gates(network, tokens).insert(network)
    shrink(network, uniform_channels(0.5)(network, Batch(tokens, tokens)), tokens)
    size = size_of(fold_gates(network), tokens, {})
    assert ((size.parameters, size.macs), size.uncounted) == (shape_of(3, 192), ())


def test_a_token_changes_nothing_before_it() -> None:
    network = resolve_model("gpt_tiny")(8, 5).eval()
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    with torch.no_grad():
        before, after = network(tokens), network(tokens.index_fill(1, torch.tensor([5]), 3))
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.isclose(before[:, 5:], after[:, 5:]).all(dim=-1).any()


def test_every_patch_has_a_position_of_its_own_and_neighbours_are_alike() -> None:
    found = positions(torch.zeros(1, 96, 7, 8)).view(7, 8, 96)
    distances = (found.flatten(0, 1)[:, None] - found.flatten(0, 1)[None]).norm(dim=-1)
    assert distances.fill_diagonal_(9).min() > 0.5
    row = (found[0, 0] - found[0]).norm(dim=-1)
    assert row.argsort().tolist()[:3] == [0, 1, 2]
    torch.testing.assert_close(row[:7], (found[0, 0] - found[:, 0]).norm(dim=-1))


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


def test_networks_of_timm_take_any_channels_and_classes() -> None:
    timm = pytest.importorskip("timm")
    name = next(iter(timm.list_models("test_resnet*")), "resnet10t")
    network = resolve_model(f"timm/{name}")(1, 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 7)
    assert WorkloadChoice(data="digits", model=f"timm/{name}").model == f"timm/{name}"
    with pytest.raises(UsageError, match=r"unknown model 'timm/resnet81'; did you mean"):
        resolve_model("timm/resnet81")


def test_timm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"needs timm; do: pip install 'energy-harness\[timm\]'"):
        resolve_model("timm/resnet18")
