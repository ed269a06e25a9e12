"""Rewiring keeps the number alive, drops the smallest and grows where gradients are largest."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.training.rewiring import Rewirer


def rewired(
    weight: list[float], gradient: list[float], mask: list[int], fraction: float
) -> list[int]:
    masks = {"w": torch.tensor(mask, dtype=torch.float32)}
    moved = Rewirer(masks).rewire(
        {"w": torch.tensor(weight)}, {"w": torch.tensor(gradient)}, masks, fraction
    )
    return [int(bit) for bit in moved["w"]]


def test_the_smallest_go_and_the_largest_gradients_come() -> None:
    weight = [5.0, -1.0, 2.0, -7.0, 0.0, 0.0, 0.0, 0.0]
    gradient = [9.0, 0.0, 0.1, 9.0, 0.3, -4.0, 3.0, 0.2]
    assert rewired(weight, gradient, [1, 1, 1, 1, 0, 0, 0, 0], 0.5) == [1, 0, 0, 1, 0, 1, 1, 0]


def test_living_weights_that_are_zero_go_before_others_but_dead_ones_never_count() -> None:
    assert rewired([0.0, 3.0, 0.0], [0.0, 0.0, 1.0], [1, 1, 0], 0.5) == [0, 1, 1]
    for mask in ([0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]):
        grown = mask.index(0)
        moved = rewired([0.0] * 8, [float(i == grown) for i in range(8)], mask, 0.25)
        assert [i for i in range(8) if moved[i] > mask[i]] == [grown]


def test_what_was_just_dropped_may_grow_again() -> None:
    assert rewired([1.0, 2.0, 0.0], [8.0, 0.0, 1.0], [1, 1, 0], 0.5) == [1, 1, 0]


def test_a_dense_tensor_stays_dense_and_one_without_gradient_stays() -> None:
    assert rewired([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1, 1, 1], 0.7) == [1, 1, 1]
    masks = {"w": torch.tensor([1.0, 0.0])}
    assert Rewirer(masks).rewire({"w": torch.ones(2)}, {}, masks, 0.9)["w"] is masks["w"]


def test_without_masks_there_is_nothing_to_do() -> None:
    assert Rewirer({}).rewire({}, {}, {}, 0.3) == {}


@given(
    seed=st.integers(0, 1000),
    density=st.sampled_from([0.05, 0.3, 0.9]),
    fraction=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
)
def test_sparsity_is_constant_while_the_mask_moves(
    seed: int, density: float, fraction: float
) -> None:
    torch.manual_seed(seed)
    shapes = {"conv": (6, 4, 3, 3), "linear": (5, 24)}
    masks = {name: (torch.rand(shape) < density).float() for name, shape in shapes.items()}
    alive = {name: int(mask.sum()) for name, mask in masks.items()}
    rewirer = Rewirer(masks)
    places: set[bytes] = set()
    for _ in range(5):
        weights: dict[str, Tensor] = {n: torch.randn(s) * masks[n] for n, s in shapes.items()}
        gradients = {name: torch.randn(shape) for name, shape in shapes.items()}
        moved = rewirer.rewire(weights, gradients, masks, fraction)
        for name, mask in moved.items():
            assert set(mask.unique().tolist()) <= {0.0, 1.0}
            assert mask.shape == masks[name].shape
            assert int(mask.sum()) == alive[name]
            dropped = int(alive[name] * fraction)
            assert int(((masks[name] == 1) & (mask == 0)).sum()) <= dropped
        masks = moved
        places.add(masks["conv"].numpy().tobytes())
    movable = int(alive["conv"] * fraction) > 0
    assert (len(places) > 1) == movable
