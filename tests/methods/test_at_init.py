"""Scores at initialisation against finite differences, a Hessian in full, and closed forms."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import Batch, Budget, Mask, PruneAtInit, Train, magnitude, prunable_weights
from harness.pruning.weights import prune_weights
from harness.settings.catalogue import resolve_model
from methods.grasp import TEMPERATURE, Grasp, grasp
from methods.magnitude_at_init import MagnitudeAtInit
from methods.snip import Snip, snip
from methods.synflow import Synflow, synflow
from tests.methods.played import played


def small_network(activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    """Convolution, BatchNorm, activation, linear layer; float64, so that differences are exact."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        activation(),
        nn.Flatten(),
        nn.Linear(3 * 16, 4),
    ).double()


def small_batch(samples: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(samples, 2, 4, 4, generator=generator, dtype=torch.float64)
    return Batch(images, torch.randint(0, 4, (samples,), generator=generator))


def loss_of(network: nn.Module, temperature: float = 1.0) -> Tensor:
    images, labels = small_batch()
    return F.cross_entropy(network.train()(images) / temperature, labels)


def derivative(function: Callable[[], float], weight: Tensor, place: int, step: float) -> float:
    """How `function` changes as one weight is scaled from 1 to 0, by central differences."""
    flat = weight.data.view(-1)
    value = float(flat[place])
    flat[place] = value * (1 + step)
    above = function()
    flat[place] = value * (1 - step)
    below = function()
    flat[place] = value
    return (above - below) / (2 * step)


def sampled_places(weight: Tensor) -> list[int]:
    return list(range(0, weight.numel(), max(weight.numel() // 7, 1)))


def test_snip_is_the_sensitivity_of_the_loss_to_each_connection() -> None:
    network = small_network()
    scores = snip(copy.deepcopy(network), small_batch())
    assert set(scores) == {"0.weight", "4.weight"}
    for name, weight in prunable_weights(network).items():
        for place in sampled_places(weight):
            change = derivative(lambda: loss_of(network).item(), weight, place, 1e-5)
            assert float(scores[name].flatten()[place]) == pytest.approx(abs(change), abs=1e-8)


def gradient_flow(network: nn.Module) -> float:
    """The squared norm of the gradient, at GraSP's temperature."""
    weights = list(prunable_weights(network).values())
    gradients = torch.autograd.grad(loss_of(network, TEMPERATURE), weights)
    return float(sum(gradient.square().sum() for gradient in gradients))


def test_grasp_keeps_the_weights_whose_removal_would_reduce_the_gradient_flow() -> None:
    """By first differences, removing a weight changes the flow by minus twice its score."""
    network = small_network()
    scores = grasp(copy.deepcopy(network), small_batch())
    signs = set()
    for name, weight in prunable_weights(network).items():
        for place in sampled_places(weight):
            growth = derivative(lambda: gradient_flow(network), weight, place, 1e-4)
            score = float(scores[name].flatten()[place])
            assert 2 * score == pytest.approx(growth, rel=1e-4, abs=1e-13)
            signs.add(score > 0)
    assert signs == {True, False}


def test_grasp_is_the_hessian_times_the_gradient_written_out() -> None:
    network = small_network()
    weights = prunable_weights(network)

    def loss(*values: Tensor) -> Tensor:
        images, labels = small_batch()
        given = dict(zip(weights, values, strict=True))
        outputs = torch.func.functional_call(network.train(), given, (images,))
        return F.cross_entropy(outputs / TEMPERATURE, labels)

    values = tuple(weight.detach() for weight in weights.values())
    blocks = torch.autograd.functional.hessian(loss, values)
    sizes = [value.numel() for value in values]
    hessian = torch.cat(
        [
            torch.cat(
                [b.reshape(m, n) for b, n in zip(row, sizes, strict=True)],
                dim=1,
            )
            for row, m in zip(blocks, sizes, strict=True)
        ]
    )
    gradient = torch.cat([g.flatten() for g in torch.autograd.functional.jacobian(loss, values)])
    flat = torch.cat([value.flatten() for value in values])
    scores = grasp(copy.deepcopy(network), small_batch())
    ours = torch.cat([score.flatten() for score in scores.values()])
    torch.testing.assert_close(ours, flat * (hessian @ gradient), atol=1e-15, rtol=1e-9)


def test_synflow_of_two_linear_layers_has_a_closed_form_with_biases_as_magnitudes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    first, second = network[1].weight.detach().abs(), network[3].weight.detach().abs()
    hidden = first.sum(dim=1) + network[1].bias.detach().abs()
    scores = synflow(copy.deepcopy(network), Batch(torch.randn(2, 3, 2, 2), torch.zeros(2).long()))
    expected_first = first * second.sum(dim=0)[:, None]
    expected_second = second * hidden[None, :]
    torch.testing.assert_close(scores["1.weight"], expected_first.double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(scores["3.weight"], expected_second.double(), rtol=1e-6, atol=0)


def test_synflow_feeds_an_embedding_with_ones_and_looks_at_no_token() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 3, bias=False))
    rows, weight = (each.weight.detach().abs().double() for each in network)
    batch = Batch(torch.randint(0, 7, (2, 4)), torch.zeros(2, 4).long())
    scores = synflow(copy.deepcopy(network), batch)
    places = 4
    torch.testing.assert_close(scores["0.weight"], places * rows * weight.sum(0))
    torch.testing.assert_close(scores["1.weight"], places * weight * rows.sum(0))


def test_synflow_is_a_magnitude_where_more_weight_means_less_output() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.LayerNorm(5), nn.Linear(5, 3))
    scores = synflow(network, Batch(torch.randn(1, 3, 2, 2), torch.zeros(1).long()))
    assert min(float(score.min()) for score in scores.values()) >= 0
    assert float(scores["1.weight"].max()) > 0


def chain(activation: type[nn.Module]) -> nn.Module:
    """Layers with scales and variances as after training, without any shift."""
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        activation(),
        nn.Conv2d(8, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 16, 4),
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            layer.running_var.uniform_(0.5, 2.0)
    return network


def chain_batch() -> Batch:
    return Batch(torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_synaptic_flow_is_conserved_through_units_and_layers(activation: type[nn.Module]) -> None:
    scores = synflow(chain(activation), chain_batch())
    first, second, third = scores["0.weight"], scores["3.weight"], scores["8.weight"]
    assert first.min() > 0
    torch.testing.assert_close(first.sum(dim=(1, 2, 3)), second.sum(dim=(0, 2, 3)))
    torch.testing.assert_close(second.sum(dim=(1, 2, 3)), third.reshape(4, 6, 16).sum(dim=(0, 2)))
    for other in (second, third):
        torch.testing.assert_close(other.sum(), first.sum())


def test_synflow_looks_at_no_data() -> None:
    network = chain(nn.ReLU)
    one = synflow(copy.deepcopy(network), chain_batch())
    other = synflow(copy.deepcopy(network), chain_batch())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_synflow_in_steps_empties_no_layer_where_one_step_does() -> None:
    def widest_in_the_middle() -> nn.Module:
        torch.manual_seed(0)
        sizes = [12, 4, 200, 200, 4]
        layers = [nn.Linear(m, n, bias=False) for m, n in itertools.pairwise(sizes)]
        return nn.Sequential(nn.Flatten(), *layers)

    batch = Batch(torch.randn(1, 3, 2, 2), torch.zeros(1, dtype=torch.int64))

    def alive_after(steps: int) -> list[int]:
        network = widest_in_the_middle()
        masks: dict[str, Tensor] = {}
        for _ in range(steps):
            scores = synflow(copy.deepcopy(network), batch)
            masks = prune_weights(scores, masks, 1 - 0.002 ** (1 / steps))
            for name, weight in prunable_weights(network).items():
                weight.data *= masks[name]
        return [int(mask.sum()) for mask in masks.values()]

    assert min(alive_after(1)) == 0
    assert min(alive_after(100)) > 0


CASES = [
    (Snip(), Mask(snip, 0.9, samples=128)),
    (Grasp(sparsity=0.98), Mask(grasp, 0.98, samples=100)),
    (Synflow(), Mask(synflow, 0.9, iterations=100, samples=1)),
    (MagnitudeAtInit(sparsity=0.5), Mask(magnitude, 0.5, samples=1)),
]


@pytest.mark.parametrize(("method", "mask"), CASES, ids=lambda case: type(case).__name__)
def test_the_mask_comes_first_and_the_whole_budget_after(method: PruneAtInit, mask: Mask) -> None:
    assert played(method, Budget(epochs=7)) == [mask, Train("train", epochs=7)]


@pytest.mark.parametrize("score", [snip, grasp, magnitude])
def test_scores_are_finite_and_do_not_hold_on_to_the_graph(score: Any) -> None:
    scores = score(small_network(nn.ReLU), small_batch())
    for value in scores.values():
        assert torch.isfinite(value).all()
        assert not value.requires_grad


class WithMore(nn.Module):
    """The small network, with a layer that its forward pass skips, and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.used = small_network()
        self.used[0].requires_grad_(False)
        self.skipped = nn.Linear(3, 2).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.used(images)


@pytest.mark.parametrize("score", [snip, grasp, synflow])
def test_attention_is_scored_too_though_its_fused_kernels_have_no_second_derivative(
    score: Any,
) -> None:
    torch.manual_seed(0)
    network = resolve_model("vit_tiny")(1, 10)
    found = score(network, Batch(torch.randn(8, 1, 8, 8), torch.arange(8)))
    assert found.keys() == prunable_weights(network).keys()
    assert all(each.isfinite().all() and each.any() for each in found.values())


@pytest.mark.parametrize("score", [snip, grasp, synflow, magnitude])
def test_frozen_weights_have_no_score_and_skipped_ones_go_first(score: Any) -> None:
    scores = score(WithMore(), small_batch())
    assert set(scores) == {"used.4.weight", "skipped.weight"}
    if score is not magnitude:
        assert not scores["skipped.weight"].any()
