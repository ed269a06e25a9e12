"""Units without BatchNorm: gates score, silence and leave them, and removal is silencing."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import Tensor, nn

from harness.pruning.channel_mask import ChannelMask
from harness.pruning.channels import (
    Gates,
    channel_groups,
    global_mask,
    missing_gates,
    shrink,
)
from harness.pruning.gates import Gate, fold_gates
from harness.pruning.groups import ChannelGroup, scales
from harness.pruning.removal import silence, take
from tests.gated import FAMILIES, make

NEAR = {"rtol": 0.0, "atol": 1e-6}
UNITS = {
    "perceptron": {"neuron": 40},
    "plain U-Net": {"channel": 40},
    "GroupNorm": {"channel": 24},
    "language": {"head": 8, "neuron": 64},
    "encoder": {"head": 8, "neuron": 64},
    "ViT": {"head": 8, "neuron": 64},
    "Swin": {"head": 18, "neuron": 288},
    "Swin 2": {"head": 18, "neuron": 288},
    "ConvNeXt": {"neuron": 128},
}


@functools.cache
def gates_of(family: str) -> Gates:
    """What a network needs for every unit that can be removed to have a scale."""
    return missing_gates(*make(family))


def gated(family: str) -> tuple[nn.Module, Tensor]:
    """A network of which every unit that can be removed has a scale, none of them 1."""
    network, samples = make(family)
    gates_of(family).insert(network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in scales(network).values():
            layer.weight.uniform_(0.5, 1.5, generator=generator)
    return network, samples


def half(groups: list[ChannelGroup], generator: torch.Generator) -> ChannelMask:
    """Half of the units of every group, at random."""
    layers = {}
    for group in groups:
        kept = torch.randperm(group.size, generator=generator)[: -(-group.size // 2)].tolist()
        layers[group.name] = "".join("1" if unit in kept else "0" for unit in range(group.size))
    return ChannelMask(layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_unit_that_can_be_removed_has_a_scale_and_nothing_else_changes(family: str) -> None:
    network, samples = make(family)
    before, seen = network(samples), copy.deepcopy(network).eval()(samples)
    gates_of(family).insert(network)
    torch.testing.assert_close(network(samples), before, **NEAR)
    torch.testing.assert_close(network.eval()(samples), seen, **NEAR)
    counted: dict[str, int] = {}
    for group in channel_groups(network, samples):
        counted[group.kind] = counted.get(group.kind, 0) + group.size
    assert counted == UNITS[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_folding_leaves_what_is_computed_and_no_gate(family: str) -> None:
    network, samples = gated(family)
    before = network(samples)
    parameters = dict(network.named_parameters())
    fold_gates(network)
    torch.testing.assert_close(network(samples), before, **NEAR)
    assert not any(isinstance(module, Gate) for module in network.modules())
    assert all(parameters[name] is each for name, each in network.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shrunk_network_is_the_silenced_one_in_both_modes_with_its_gradients(family: str) -> None:
    network, samples = gated(family)
    groups = channel_groups(network, samples)
    mask = half(groups, torch.Generator().manual_seed(2))
    silenced = copy.deepcopy(network)
    silence(silenced, groups, mask)
    index = shrink(network, mask, samples)
    for train in (True, False):
        torch.testing.assert_close(
            network.train(train)(samples), silenced.train(train)(samples), **NEAR
        )
    for each in (network.train(), silenced.train()):
        each(samples).square().sum().backward()
    whole = dict(silenced.named_parameters())
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, take(whole[name], index[name]))
        torch.testing.assert_close(parameter.grad, take(whole[name].grad, index[name]), **NEAR)
    smaller = sum(each.numel() for each in network.parameters())
    assert smaller < sum(each.numel() for each in silenced.parameters())


@pytest.mark.parametrize("family", ["language", "GroupNorm"])
def test_shrinking_twice_is_shrinking_once_by_both_masks(family: str) -> None:
    network, samples = gated(family)
    once = copy.deepcopy(network)
    first = half(channel_groups(network, samples), torch.Generator().manual_seed(2))
    shrink(network, first, samples)
    second = half(channel_groups(network, samples), torch.Generator().manual_seed(3))
    shrink(network, second, samples)
    shrink(once, first.then(second), samples)
    assert torch.equal(network(samples), once(samples))


def test_a_floor_and_a_multiple_count_channels_not_units() -> None:
    heads = ChannelGroup("heads", 6, (), width=4, kind="head")
    neurons = ChannelGroup("neurons", 32, (), kind="neuron")
    scores = {"heads": torch.arange(6.0), "neurons": torch.arange(32.0)}
    mask = global_mask(scores, 0.9, min_channels=8, round_to=8, groups=[heads, neurons])
    assert mask.widths() == {"heads": 2, "neurons": 8}


def test_each_kind_of_unit_has_a_threshold_of_its_own() -> None:
    groups = [ChannelGroup("heads", 4, (), kind="head"), ChannelGroup("neurons", 8, ())]
    scores = {"heads": torch.arange(4.0) / 100, "neurons": torch.arange(8.0)}
    assert global_mask(scores, 0.5, groups=groups).widths() == {"heads": 1, "neurons": 3}


def test_what_is_read_where_no_scale_silences_it_gets_no_gate() -> None:
    class Twice(nn.Module):
        """Reads its hidden neurons a second time, past the layer that would hold the gate."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 6)
            self.third = nn.Linear(6, 2)

        def forward(self, values: Tensor) -> Tensor:
            hidden = torch.relu(self.first(values))
            return self.third(hidden.softmax(-1) * self.second(hidden).sum())

    network = Twice().double()
    assert missing_gates(network, torch.randn(1, 4).double()) == Gates((), converts=True)
