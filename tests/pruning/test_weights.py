"""Weight masks: exact fractions, nested, global."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import magnitude
from harness.pruning.weights import prunable_weights, prune_weights
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
