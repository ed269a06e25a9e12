"""Penalties add to the gradients exactly what they say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness import Train
from harness.pruning.groups import scaled_norms
from harness.pruning.lasso import group_lasso
from harness.training.step import penalties
from tests.networks import CLASSES, images, make


def with_gradients(family: str) -> nn.Module:
    network = make(family).train()
    labels = torch.arange(4) % CLASSES
    F.cross_entropy(network(images()), labels).backward()
    return network


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def test_without_a_penalty_gradients_stay() -> None:
    network = with_gradients("vgg")
    before = gradients(network)
    penalties(network, Train("train", 1))()
    assert all(torch.equal(before[name], value) for name, value in gradients(network).items())


def test_l1_is_exactly_the_sign_of_each_scale() -> None:
    network = with_gradients("residual")
    with torch.no_grad():
        network.stem[1].weight[:3] = torch.tensor([0.0, -0.4, 0.4])
    before = gradients(network)
    penalties(network, Train("train", 1, l1_gamma=1e-4))()
    scales = {f"{name}.weight" for name in scaled_norms(network)}
    for name, parameter in network.named_parameters():
        expected = before[name]
        if name in scales:
            expected = expected + 1e-4 * parameter.detach().sign()
        assert torch.equal(parameter.grad, expected), name


def test_l1_leaves_layers_alone_that_the_forward_pass_skips() -> None:
    network = nn.Sequential(with_gradients("vgg"), nn.BatchNorm2d(3))
    before = gradients(network[0])
    penalties(network, Train("train", 1, l1_gamma=1e-4))()
    assert network[1].weight.grad is None
    assert any(not torch.equal(before[name], new) for name, new in gradients(network[0]).items())
    penalties(nn.Sequential(network[1]), Train("train", 1, l1_gamma=1e-4))()


@pytest.mark.parametrize("family", ["vgg", "residual", "flattening"])
def test_group_lasso_adds_what_autograd_finds(family: str) -> None:
    network = with_gradients(family)
    with torch.no_grad():
        next(network.parameters())[2] = 0  # a group at zero has a gradient all the same
    before = gradients(network)
    penalties(network, Train("train", 1, group_lasso=0.03))()
    named = dict(network.named_parameters())
    found = torch.autograd.grad(
        0.03 * group_lasso(network), list(named.values()), allow_unused=True
    )
    for (name, parameter), gradient in zip(named.items(), found, strict=True):
        expected = before[name] if gradient is None else before[name] + gradient
        torch.testing.assert_close(parameter.grad, expected, msg=name)
        if gradient is None:
            assert torch.equal(parameter.grad, expected)


def test_group_lasso_drives_channels_that_do_nothing_under_the_threshold() -> None:
    network = make("flattening")
    phase = Train("train", 1, group_lasso=0.05)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    penalise = penalties(network, phase)
    for rate in (0.1, 0.001):
        optimizer.param_groups[0]["lr"] = rate
        for _ in range(150):
            for parameter in network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            penalise()
            optimizer.step()
    assert network.features[2][0].weight.abs().max() < 1e-4


def test_frozen_parameters_are_left_alone() -> None:
    network = make("flattening")
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    penalties(network, Train("train", 1, l1_gamma=1e-4, group_lasso=0.1))()
    assert all(parameter.grad is None for parameter in network.parameters())
