"""Channels are grouped with everything that shares them; what cannot be removed is in no group."""

from __future__ import annotations

import copy
import gc
import subprocess
import weakref

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from harness.pruning import channels
from harness.pruning.channels import channel_groups, shrink
from tests import prepared
from tests.networks import conv_bn, head, images, make, mask_of


class RawReader(nn.Module):
    """Features that one path reads behind a BatchNorm and another without: no scale silences."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.middle, self.side = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 1)
        self.last = conv_bn(6, 6)
        self.head = nn.Sequential(*head(6))

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.stem(inputs)
        mixed = self.middle(torch.relu(self.norm(features))) + self.side(features)
        return self.head(self.last(mixed))


class Reversing(nn.Module):
    """Reverses the order of channels, which the tracer takes for an element-wise operation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = conv_bn(3, 8), conv_bn(8, 8), conv_bn(8, 6)
        self.head = nn.Sequential(*head(6))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.second(self.first(inputs)).flip(1)
        return self.head(self.third(hidden))


class Tied(nn.Module):
    """Two convolutions with one weight between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = conv_bn(8, 8), conv_bn(8, 8), conv_bn(8, 6)
        self.stem = conv_bn(3, 8)
        self.second[0].weight = self.first[0].weight
        self.head = nn.Sequential(*head(6))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(self.stem(inputs)))))


def layers_of(network: nn.Module) -> dict[str, list[tuple[str, str]]]:
    return {
        group.name: sorted((member.layer, member.role) for member in group.members)
        for group in channel_groups(network, images())
    }


def test_a_residual_stage_is_one_group() -> None:
    assert layers_of(make("residual"))["stem.1"] == [
        ("first.0.0", "in"),
        ("first.2.0", "out"),
        ("first.2.1", "norm"),
        ("projection.0", "in"),
        ("second.0.0", "in"),
        ("stem.0", "out"),
        ("stem.1", "norm"),
    ]


def test_a_depthwise_convolution_goes_with_what_it_reads() -> None:
    groups = layers_of(make("mobilenet"))
    depthwise = ("features.2.conv.1.0", "out")
    assert groups["features.2.conv.0.1"] == [
        ("features.2.conv.0.0", "out"),
        ("features.2.conv.0.1", "norm"),
        depthwise,
        ("features.2.conv.1.1", "norm"),
        ("features.2.conv.2", "in"),
    ]


def test_under_a_concatenation_each_source_is_a_group_of_its_own() -> None:
    network = make("densenet")
    groups = {group.name: group for group in channel_groups(network, images())}
    added = groups["features.denseblock1.denselayer2.norm1"]
    assert added.size == 8
    norms = {member.layer: member.index for member in added.norms}
    slice_ = tuple(range(16, 24))
    assert norms == {
        "features.denseblock1.denselayer2.norm1": slice_,
        "features.transition1.norm": slice_,
    }


def test_a_flattened_channel_is_many_inputs_of_one_channel() -> None:
    *_, last = channel_groups(make("flattening"), images())
    (linear,) = (member for member in last.members if member.layer == "head")
    assert linear.role == "in"
    pairs = zip(linear.index, linear.channel, strict=True)
    assert sorted(pairs) == [(entry, entry // 64) for entry in range(12 * 64)]


def test_grouped_convolutions_keep_their_width_and_the_stream_around_them_does_not() -> None:
    groups = channel_groups(make("resnext"), images())
    named = {member.layer for group in groups for member in group.members}
    assert "layer1.0.bn3" in named
    assert not any(layer.endswith(("conv2", "bn1", "bn2")) for layer in named if "layer" in layer)


def test_what_no_scale_silences_or_the_tracer_misreads_keeps_its_width() -> None:
    assert list(layers_of(RawReader())) == ["last.1"]
    assert list(layers_of(Reversing())) == ["first.1", "third.1"]
    assert list(layers_of(Tied())) == ["third.1"]


def test_channels_that_reach_the_output_keep_their_width() -> None:
    network = nn.Sequential(
        conv_bn(3, 8), nn.ReLU(), conv_bn(8, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert list(layers_of(network)) == ["0.1"]


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 1), *head(4)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), *head(4)),
        nn.Sequential(conv_bn(3, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ],
)
def test_a_network_without_removable_channels_is_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="Sequential has no channels, neurons or heads"):
        channel_groups(network, images())


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    network = models.shufflenet_v2_x0_5(num_classes=5)
    with pytest.raises(ValueError, match="channels of ShuffleNetV2 depend on each other cannot"):
        channel_groups(network, torch.randn(1, 3, 32, 32))


def test_groups_are_found_once_for_each_structure_and_size_of_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced = []
    monkeypatch.setattr(
        channels,
        "candidate_groups",
        lambda network, example, find=channels.candidate_groups: (
            traced.append(1) or find(network, example)
        ),
    )
    network = make("vgg")
    found = channel_groups(network, images())
    with torch.no_grad():
        network[0].weight.mul_(2)
    assert channel_groups(network, images()) is found
    assert len(traced) == 1
    channel_groups(copy.deepcopy(network), images())
    channel_groups(network, torch.randn(1, 3, 16, 16))
    assert len(traced) == 3
    shrink(network, mask_of(network), images())
    assert [group.size for group in channel_groups(network, images())] != [
        group.size for group in found
    ]


def test_remembering_groups_keeps_no_network_alive() -> None:
    network = make("vgg")
    channel_groups(network, images())
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_channels_of_synchronised_batch_norm_are_found_on_a_cpu() -> None:
    network = make("vgg")
    groups = channel_groups(nn.SyncBatchNorm.convert_sync_batchnorm(make("vgg")), images())
    assert groups == channel_groups(network, images())


def test_a_package_that_nothing_here_needs_is_not_loaded_and_can_be() -> None:
    program = (
        "import sys, harness.pruning.dependency; assert 'timm' not in sys.modules;"
        "import importlib.util as util; assert util.find_spec('timm') is None or __import__('timm')"
    )
    subprocess.run([prepared.python(), "-c", program], check=True)
