"""Weight masks: how many live, and where they go when shuffled."""

from __future__ import annotations

import torch

from harness.training.rewiring import alive_weights, shuffle_masks


def mask(*shape: int, alive: int) -> torch.Tensor:
    ones = torch.zeros(shape)
    ones.view(-1)[:alive] = 1
    return ones


def test_a_parameter_without_a_mask_lives() -> None:
    scores = {"a": torch.ones(4, 5), "b": torch.ones(3, 3)}
    assert alive_weights(scores, {}) == 29
    assert alive_weights(scores, {"b": mask(3, 3, alive=2)}) == 22


def test_shuffling_keeps_every_tensors_density_and_moves_its_ones() -> None:
    masks = {"a": mask(8, 4, 3, 3, alive=100), "b": mask(10, 8, alive=7)}
    torch.manual_seed(0)
    shuffled = shuffle_masks(masks)
    for name, before in masks.items():
        assert shuffled[name].shape == before.shape
        assert set(shuffled[name].unique().tolist()) == {0, 1}
        assert shuffled[name].sum() == before.sum()
        assert not torch.equal(shuffled[name], before)
    torch.manual_seed(0)
    assert all(torch.equal(m, shuffled[n]) for n, m in shuffle_masks(masks).items())
