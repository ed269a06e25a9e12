"""Group lasso against sums written out; dead channels are found where they were made."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from harness import Batch, ChannelMask, dead_channels, group_lasso_weight
from harness.pruning.channels import missing_gates, shrink
from harness.pruning.lasso import group_lasso, lasso_weights
from tests.gated import make as make_gated
from tests.networks import CLASSES, images, make


def batch() -> Batch:
    pictures = images(samples=8)
    return Batch(pictures, torch.arange(len(pictures)) % CLASSES)


def norm(values: Tensor) -> float:
    return math.sqrt(sum(value**2 for value in values.flatten().tolist()) + 1e-8)


def test_the_lasso_is_the_sum_of_norms_of_rows_and_columns() -> None:
    network = make("flattening")
    first, second = network.features[0][0].weight, network.features[2][0].weight
    expected = sum(norm(first[k]) for k in range(16))  # the picture's channels are no group
    expected += sum(norm(second[k]) for k in range(12)) + sum(norm(second[:, c]) for c in range(16))
    expected += sum(norm(network.head.weight[:, c]) for c in range(12 * 64))
    assert group_lasso(network).item() == pytest.approx(expected, rel=1e-5)


def test_depthwise_convolutions_have_no_groups() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1))
    shapes = [tuple(weight.shape) for weight, _ in lasso_weights(network)]
    assert shapes == [(4, 3, 1, 1), (2, 4, 1, 1)]


def test_outputs_of_hidden_linear_layers_have_groups_where_they_can_be_removed() -> None:
    network, _ = make_gated("language")
    plain = {id(weight): along for weight, along in lasso_weights(network)}
    gated = copy.deepcopy(network)
    missing_gates(gated, torch.zeros(1, 6, dtype=torch.int64)).insert(gated)
    found = {id(weight): along for weight, along in lasso_weights(gated)}
    assert all(along == [(0,)] for along in plain.values())
    assert found.pop(id(gated.head.weight)) == [(0,)]
    assert all(along == [(1,), (0,)] for along in found.values())


def test_a_head_and_a_neuron_that_nothing_makes_or_reads_are_found() -> None:
    network, samples = make_gated("Swin")
    missing_gates(network, samples).insert(network)
    block = network.features[1][0]
    for layer in (block.attn.q, block.attn.k, block.attn.v):
        fade(layer.weight, [4, 5, 6, 7])
    fade(block.attn.o.weight.transpose(0, 1), [4, 5, 6, 7])
    fade(block.mlp[0].weight, [2])
    fade(block.mlp[3].weight.transpose(0, 1), [2])
    mask = dead_channels(1e-4)(network, Batch(samples, torch.zeros(2, dtype=torch.int64)))
    dead = {name: mask.dropped(name) for name in mask.layers if mask.dropped(name)}
    assert dead == {"features.1.0.attn.o.gate": [1], "features.1.0.mlp.3.gate": [2]}


@pytest.mark.parametrize("ratio", [0.1, 0.25])
def test_its_weight_makes_it_the_given_share_of_the_loss(ratio: float) -> None:
    network = make("residual").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weight = group_lasso_weight(ratio)(network, batch())
    assert isinstance(weight, float)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    loss = nn.functional.cross_entropy(network(batch().inputs), batch().targets).item()
    penalty = weight * group_lasso(network).item()
    assert penalty / (loss + penalty) == pytest.approx(ratio, rel=1e-5)


@torch.no_grad()
def fade(rows: Tensor, channels: list[int]) -> None:
    """Make the weights of some channels as good as zero."""
    rows[channels] = 5e-5 * torch.sign(rows[channels])


def test_channels_that_nothing_makes_or_reads_are_found_and_removed() -> None:
    network = make("flattening").eval()
    fade(network.features[0][0].weight, [0, 3, 9])
    fade(network.features[2][0].weight.transpose(0, 1), [0, 3, 9])
    fade(network.features[2][0].weight, [5])
    fade(network.head.weight.transpose(0, 1).unflatten(0, (12, 64)), [5])
    before = network(images())
    mask = dead_channels(1e-4)(network, batch())
    dead = {name: mask.dropped(name) for name in mask.layers}
    assert dead == {"features.0.1": [0, 3, 9], "features.2.1": [5]}
    shrink(network, mask, images())
    torch.testing.assert_close(network(images()), before, atol=0.02, rtol=0)


def test_a_channel_that_is_still_made_or_still_read_stays() -> None:
    network = make("flattening")
    fade(network.features[0][0].weight, [0, 1])
    fade(network.features[2][0].weight.transpose(0, 1), [1, 2])
    mask = dead_channels(1e-4)(network, batch())
    assert mask.dropped("features.0.1") == [1]


def test_coupled_layers_must_all_have_given_a_channel_up() -> None:
    network = make("residual")
    made = [network.stem[0].weight, network.first[2][0].weight]
    read = [network.first[0][0].weight, network.second[0][0].weight, network.projection[0].weight]
    for weight in made:
        fade(weight, [2, 7])
    for weight in read:
        fade(weight.transpose(0, 1), [2, 7])
    with torch.no_grad():
        network.projection[0].weight[0, 7] = 0.5
    assert dead_channels(1e-4)(network, batch()).dropped("stem.1") == [2]


def test_floor_and_rounding_keep_the_largest_of_the_dead() -> None:
    network = make("flattening")
    channels = list(range(1, 16))
    fade(network.features[0][0].weight, channels)
    fade(network.features[2][0].weight.transpose(0, 1), channels)
    with torch.no_grad():
        network.features[0][0].weight[6] *= 1.5
    floored = dead_channels(1e-4, min_channels=2)(network, batch())
    assert [i for i, bit in enumerate(floored.layers["features.0.1"]) if bit == "1"] == [0, 6]
    rounded = dead_channels(1e-4, round_to=8)(network, batch())
    assert rounded.widths()["features.0.1"] == 8


def test_nothing_dead_is_a_mask_that_drops_nothing() -> None:
    mask = dead_channels(1e-4, 8, 8)(make("vgg"), batch())
    assert isinstance(mask, ChannelMask)
    assert mask.kept == mask.channels > 0
