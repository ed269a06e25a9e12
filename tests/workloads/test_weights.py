"""First weights follow from the seed alone, with the stated distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.errors import RunError
from harness.pruning.groups import scaled_norms
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.workload import Workload, draw, open_workload, seeded


def opened(**changes: object) -> Workload:
    choice = WorkloadChoice(**{"data": "digits", "model": "vgg_small", **changes})
    return open_workload(choice, Training(), torch.device("cpu"))


@pytest.fixture(scope="module")
def workload() -> Workload:
    return opened()


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_the_seed_decides(workload: Workload) -> None:
    network = workload.build_network(1)
    torch.rand(5)
    assert_equal(network, workload.build_network(1))
    assert not torch.equal(network[0].weight, workload.build_network(2)[0].weight)


def test_drawing_anew_equals_building(workload: Workload) -> None:
    network = workload.build_network(2)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1)
    workload.initialise(network, 1)
    assert_equal(network, workload.build_network(1))


def test_the_memory_format_does_not_change_what_is_drawn(workload: Workload) -> None:
    network = workload.build_network(2).to(memory_format=torch.channels_last)
    workload.initialise(network, 1)
    assert_equal(network, workload.build_network(1))


def test_he_has_variance_two_by_fan_out_and_scales_begin_as_stated(workload: Workload) -> None:
    network = nn.Sequential(
        nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 128, 5, groups=4)
    )
    draw(network, WorkloadChoice(data="digits", model="vgg_small", gamma_init=0.25), seed=0)
    network.requires_grad_(False)
    assert float(network[0].weight.std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)
    assert float(network[2].weight.std()) == pytest.approx(math.sqrt(2 / (25 * 128)), rel=0.03)
    assert float(network[0].weight.mean().abs()) < 0.002
    assert bool((network[0].bias == 0).all())
    assert bool((network[1].weight == 0.25).all())
    for layer in scaled_norms(workload.build_network(0)).values():
        assert bool((layer.weight == 0.5).all())


def test_pytorchs_defaults_on_request() -> None:
    network = opened(init="pytorch").build_network(3)
    with seeded(3):
        expected = nn.Conv2d(1, 32, 3, padding=1, bias=False)
    assert torch.equal(network[0].weight, expected.weight)
    assert bool((network[1].weight == 0.5).all())


class WithToken(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(3))
        self.head = nn.Linear(channels, classes)


def test_what_only_the_builder_draws_follows_from_the_seed_and_is_not_drawn_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.workloads.workload.resolve_model", lambda _: WithToken)
    special = opened()
    network, other = special.build_network(1), special.build_network(2)
    assert_equal(network, special.build_network(1))
    assert not torch.equal(network.token, other.token)
    with pytest.raises(RunError, match=r"vgg_small cannot be re-initialised: .*'token'"):
        special.initialise(network, 1)
