"""Weight masks: exact fractions, nested, global."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import erdos_renyi, magnitude
from harness.pruning.weights import erdos_renyi_densities, prunable_weights, prune_weights
from tests.networks import images, make


@given(
    values=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]),
)
def test_exactly_the_fraction_goes_ties_included(values: list[int], fraction: float) -> None:
    half = len(values) // 2
    scores = {"a": torch.tensor(values[:half]), "b": torch.tensor(values[half:])}
    masks = prune_weights(scores, {}, fraction)
    dropped = sum(int((mask == 0).sum()) for mask in masks.values())
    assert dropped == round(len(values) * fraction)
    everything = torch.cat([scores["a"], scores["b"]])
    alive = torch.cat([masks["a"], masks["b"]]).bool()
    if alive.any() and (~alive).any():
        assert everything[alive].min() >= everything[~alive].max()


def test_rounds_are_nested_and_leave_080_to_the_n() -> None:
    network = make("vgg")
    scores = magnitude(network, images())
    masks: dict[str, torch.Tensor] = {}
    for level in range(1, 4):
        newer = prune_weights(scores, masks, 0.2)
        for name, mask in masks.items():
            assert torch.all(newer[name] <= mask)
        masks = newer
        alive = sum(float(mask.sum()) for mask in masks.values())
        total = sum(mask.numel() for mask in masks.values())
        assert alive / total == pytest.approx(0.8**level, abs=1e-4)


def test_only_weights_are_pruned_no_biases_no_scales() -> None:
    network = make("flattening")
    assert set(prunable_weights(network)) == {
        "features.0.0.weight",
        "features.2.0.weight",
        "head.weight",
    }


def test_masks_are_float32_whatever_the_scores_are() -> None:
    masks = prune_weights({"a": torch.rand(10, dtype=torch.float64)}, {}, 0.5)
    assert masks["a"].dtype == torch.float32


SHAPES = {"first": (16, 3, 3, 3), "wide": (64, 64, 3, 3), "point": (64, 16, 1, 1), "head": (10, 64)}


def capped_by_bisection(density: float) -> dict[str, float]:
    """Without any of our steps: the one scale under which capped densities give the total."""
    sizes = {name: torch.zeros(shape).numel() for name, shape in SHAPES.items()}

    def at(scale: float) -> dict[str, float]:
        return {name: min(scale * sum(s) / sizes[name], 1.0) for name, s in SHAPES.items()}

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(share * sizes[name] for name, share in at(middle).items())
        low, high = (middle, high) if total < density * sum(sizes.values()) else (low, middle)
    return at(low)


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.7])
def test_erdos_renyi_densities_follow_the_formula(density: float) -> None:
    found = erdos_renyi_densities(SHAPES, density)
    assert found == pytest.approx(capped_by_bisection(density), rel=1e-6)


def test_both_kinds_of_tensor_occur_above() -> None:
    assert max(erdos_renyi_densities(SHAPES, 0.02).values()) < 1
    assert list(erdos_renyi_densities(SHAPES, 0.3).values()).count(1.0) in (2, 3)


@pytest.mark.parametrize("family", ["vgg", "residual"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_a_global_threshold_on_erdos_renyi_scores_leaves_its_densities(
    family: str, sparsity: float
) -> None:
    network = make(family)
    weights = prunable_weights(network)
    torch.manual_seed(0)
    masks = prune_weights(erdos_renyi(1 - sparsity)(network, images()), {}, sparsity)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name, share in erdos_renyi_densities(shapes, 1 - sparsity).items():
        assert masks[name].shape == weights[name].shape
        assert abs(int(masks[name].sum()) - share * weights[name].numel()) <= 1, name
    total = sum(weight.numel() for weight in weights.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - round(total * sparsity)


def test_erdos_renyi_places_are_random_and_follow_from_the_seed() -> None:
    network = make("vgg")
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(prune_weights(erdos_renyi(0.1)(network, images()), {}, 0.9))
    same, again, other = drawn
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert any(not torch.equal(same[name], other[name]) for name in same)
