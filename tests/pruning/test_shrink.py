"""A shrunk network is its masked twin, made smaller: same outputs, same training, less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from harness import ChannelMask, bn_channel_mask
from harness.batch_norm import scaled_batch_norms
from harness.pruning.channels import channel_groups
from harness.pruning.cost import size_of
from harness.pruning.shrink import shrink, take
from tests.networks import FAMILIES, images, make

cases = pytest.mark.parametrize("family", FAMILIES)
ratios = pytest.mark.parametrize("prune_ratio", [0.1, 0.5, 0.9])


def masked_twin(network: nn.Module, mask: ChannelMask) -> nn.Module:
    """The dense network with dropped channels silenced: BatchNorm scale and shift at 0."""
    twin = copy.deepcopy(network)
    layers = scaled_batch_norms(twin)
    for group in channel_groups(network, images()):
        kept = torch.tensor([bit == "1" for bit in mask.layers[group.name]])
        for name in group.layers:
            with torch.no_grad():
                layers[name].weight *= kept
                layers[name].bias *= kept
    return twin


@cases
@ratios
def test_outputs_and_gradients_equal_the_masked_twins(family: str, prune_ratio: float) -> None:
    network = make(family)
    mask = bn_channel_mask(prune_ratio, min_channels=2)(network, images())
    twin = masked_twin(network, mask)
    index = shrink(network, mask, images())
    for mode in (True, False):
        network.train(mode)
        twin.train(mode)
        network.zero_grad()
        twin.zero_grad()
        ours, theirs = network(images()), twin(images())
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        ours.square().mean().backward()
        theirs.square().mean().backward()
        of_twin = dict(twin.named_parameters())
        for name, parameter in network.named_parameters():
            expected = take(of_twin[name].grad, index[name])
            torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-4)


@cases
def test_survivors_are_bit_equal_and_where_the_index_says(family: str) -> None:
    network = make(family)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    index = shrink(network, bn_channel_mask(0.5, 2)(network, images()), images())
    for name, value in network.state_dict().items():
        assert torch.equal(value, take(before[name], index[name])), name


@cases
def test_the_network_is_really_smaller(family: str) -> None:
    network = make(family)
    before = size_of(network, images(), {})
    mask = bn_channel_mask(0.5, 2)(network, images())
    shrink(network, mask, images())
    after = size_of(network, images(), {})
    assert after.parameters < 0.7 * before.parameters
    assert after.macs < 0.7 * before.macs
    for group in channel_groups(network, images()):
        layer = scaled_batch_norms(network)[group.name]
        assert layer.num_features == mask.widths()[group.name]


def test_macs_and_parameters_agree_with_a_count_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 64, 5))
    size = size_of(network, images(), {"0.weight": torch.zeros(4, 3, 3, 3)})
    assert size.macs == 64 * 4 * 3 * 9 + 4 * 64 * 5
    assert size.parameters == 4 * 27 + 4 + 4 * 64 * 5 + 5
    assert size.density == pytest.approx(1 - 108 / size.parameters)


def test_a_mask_of_another_network_or_with_an_empty_layer_is_refused() -> None:
    network = make("residual")
    mask = bn_channel_mask(0.5, 2)(network, images())
    empty = {**mask.layers, "stem.1": "0" * 16}
    with pytest.raises(ValueError, match=r"leaves no channel in stem\.1"):
        shrink(network, ChannelMask(empty), images())
    with pytest.raises(ValueError, match="another network"):
        shrink(make("vgg"), mask, images())
