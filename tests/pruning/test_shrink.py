"""A shrunk network is its masked twin, made smaller: same outputs, same training, less memory."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness import ChannelMask
from harness.pruning import channels as shrinking
from harness.pruning.channels import channel_groups, shrink
from harness.pruning.cost import size_of
from harness.pruning.groups import scaled_norms
from harness.pruning.removal import carried, take
from harness.training.optimizer import load_moments, moments
from tests.conftest import Cases
from tests.networks import FAMILIES, Auxiliary, images, make, mask_of

families = pytest.mark.parametrize("family", FAMILIES)
RATIOS = (0.1, 0.5, 0.9)


def masked_twin(network: nn.Module, mask: ChannelMask) -> nn.Module:
    """The dense network with dropped channels silenced: BatchNorm scale and shift at 0."""
    twin = copy.deepcopy(network)
    layers = scaled_norms(twin)
    for group in channel_groups(network, images()):
        kept = torch.tensor([bit == "1" for bit in mask.layers[group.name]])
        for member in group.norms:
            with torch.no_grad():
                for parameter in (layers[member.layer].weight, layers[member.layer].bias):
                    parameter[list(member.index)] *= kept[list(member.channel)]
    return twin


def structure_and_values(network: nn.Module) -> tuple[str, dict[str, Tensor]]:
    return repr(network), {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.torture
@families
def test_outputs_and_gradients_equal_the_masked_twins(family: str, cases: Cases) -> None:
    first = list(FAMILIES).index(family)
    for turn in range(cases(1, len(RATIOS))):
        _equals_its_twin(family, RATIOS[(first + turn) % len(RATIOS)])


def _equals_its_twin(family: str, prune_ratio: float) -> None:
    network = make(family).double()
    mask = mask_of(network, prune_ratio)
    twin = masked_twin(network, mask)
    index = shrink(network, mask, images())
    of_twin = dict(twin.named_parameters())
    inputs = images().double()
    for mode in (True, False):
        network.train(mode).zero_grad()
        twin.train(mode).zero_grad()
        ours, theirs = network(inputs), twin(inputs)
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
        ours.square().mean().backward()
        theirs.square().mean().backward()
        for name, parameter in network.named_parameters():
            expected = take(of_twin[name].grad, index[name])
            torch.testing.assert_close(parameter.grad, expected, atol=1e-9, rtol=1e-7)


@families
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_optimizers_state_is_carried_so_that_training_goes_on_as_the_twins(
    family: str, kind: str
) -> None:
    def trained(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        network.train().zero_grad()
        network(images().double()).square().mean().backward()
        optimizer.step()

    def new_optimizer(network: nn.Module) -> torch.optim.Optimizer:
        options = {"momentum": 0.9} if kind == "SGD" else {}
        return getattr(torch.optim, kind)(network.parameters(), lr=1e-3, **options)

    network = make(family).double()
    optimizer = new_optimizer(network)
    for _ in range(2):
        trained(network, optimizer)
    saved = moments(optimizer, network)
    mask = mask_of(network)
    twin = masked_twin(network, mask)
    index = shrink(network, mask, images())
    smaller, masked = new_optimizer(network), new_optimizer(twin)
    load_moments(smaller, network, carried(saved, index))
    load_moments(masked, twin, copy.deepcopy(saved))
    trained(network, smaller)
    trained(twin, masked)
    of_twin = dict(twin.named_parameters())
    for name, parameter in network.named_parameters():
        expected = take(of_twin[name].detach(), index[name])
        torch.testing.assert_close(parameter.detach(), expected, atol=1e-8, rtol=1e-6)


@families
def test_survivors_are_bit_equal_and_where_the_index_says(family: str) -> None:
    network = make(family)
    _, before = structure_and_values(network)
    index = shrink(network, mask_of(network), images())
    assert index.keys() == before.keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, take(before[name], index[name])), name


@families
def test_the_network_is_really_smaller(family: str) -> None:
    network = make(family)
    before = size_of(network, images(), {})
    mask = mask_of(network)
    shrink(network, mask, images())
    after = size_of(network, images(), {})
    share = 0.9 if family == "resnext" else 0.7
    assert after.parameters < share * before.parameters
    assert after.macs < share * before.macs
    sizes = {group.name: group.size for group in channel_groups(network, images())}
    assert sizes == mask.widths()


@pytest.mark.parametrize("family", ["flattening", "preresnet", "mobilenet", "densenet"])
def test_two_shrinks_are_one_with_the_composed_mask(family: str) -> None:
    twice, once = make(family), make(family)
    first = mask_of(twice, 0.3)
    shrink(twice, first, images())
    later = mask_of(twice, 0.4)
    shrink(twice, later, images())
    shrink(once, first.then(later), images())
    assert repr(once) == repr(twice)
    for name, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[name]), name


def test_what_training_alone_reads_stays_and_dropout_is_in_no_ones_way() -> None:
    torch.manual_seed(0)
    network = Auxiliary()
    assert [group.name for group in channel_groups(network, images())] == ["first.0.1", "last.0.1"]
    state = torch.get_rng_state()
    shrink(network, mask_of(network), images())
    assert torch.equal(torch.get_rng_state(), state)
    network.train()(images()).sum().backward()


def test_macs_and_parameters_agree_with_a_count_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 64, 5))
    size = size_of(network, images(), {"0.weight": torch.zeros(4, 3, 3, 3)})
    assert size.macs == 64 * 4 * 3 * 9 + 4 * 64 * 5
    assert size.parameters == 4 * 27 + 4 + 4 * 64 * 5 + 5
    assert size.density == pytest.approx(1 - 108 / size.parameters)


def test_modes_frozen_parameters_and_random_numbers_stay_as_they_were() -> None:
    network = make("residual").train()
    network.stem[1].eval()
    network.first[0][0].weight.requires_grad_(False)
    state = torch.get_rng_state()
    shrink(network, mask_of(network), images())
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name, each in network.named_modules() if not each.training] == ["stem.1"]
    frozen = [name for name, each in network.named_parameters() if not each.requires_grad]
    assert frozen == ["first.0.0.weight"]


def test_weights_laid_out_channels_last_shrink_alike() -> None:
    plain = make("residual")
    mask = mask_of(plain)
    laid_out = make("residual").to(memory_format=torch.channels_last)
    shrink(plain, mask, images())
    shrink(laid_out, mask, images().to(memory_format=torch.channels_last))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, laid_out.state_dict()[name]), name


def test_a_mask_that_drops_nothing_changes_nothing() -> None:
    network = make("vgg")
    structure, before = structure_and_values(network)
    everything = {name: "1" * len(bits) for name, bits in mask_of(network).layers.items()}
    index = shrink(network, ChannelMask(everything), images())
    assert repr(network) == structure
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(take(value, index[name]), value)


def test_a_mask_of_another_network_or_with_an_empty_layer_is_refused() -> None:
    network = make("residual")
    mask = mask_of(network)
    empty = {**mask.layers, "stem.1": "0" * 16}
    with pytest.raises(ValueError, match=r"leaves no channel in stem\.1"):
        shrink(network, ChannelMask(empty), images())
    with pytest.raises(ValueError, match="another network"):
        shrink(make("vgg"), mask, images())


@pytest.mark.parametrize("role", ["norm", "out", "in"])
def test_a_removal_that_would_change_the_function_is_refused_before_anything_changes(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make("vgg")
    mask = mask_of(network)
    structure, before = structure_and_values(network)
    first, *others = channel_groups(network, images())
    wrong = replace(
        first,
        members=tuple(
            replace(member, index=(*member.index[1:], member.index[0]))
            if member.role == role
            else member
            for member in first.members
        ),
    )
    monkeypatch.setattr(shrinking, "channel_groups", lambda *_: [wrong, *others])
    with pytest.raises(ValueError, match="from Sequential would change what it computes"):
        shrink(network, mask, images())
    assert repr(network) == structure
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
