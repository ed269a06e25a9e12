"""Dynamic sparse training: the mask moves when it should, and the number alive never does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from harness import Mask, Rewire, RunError, Train, erdos_renyi, magnitude
from harness.pruning.weights import prune_weights
from harness.runner.phase_executor import PhaseContext, execute
from harness.settings.settings import Training
from harness.training.loop import train_epoch
from harness.training.rewiring import Rewiring
from harness.training.state import TrainingState
from tests.training.conftest import RECIPE, RECIPES, MakeState

RULE = Rewire(every_steps=4, fraction=0.3, until_epoch=1.5)


def sparse(make_state: MakeState, recipe: Training = RECIPE) -> TrainingState:
    state = make_state(recipe=recipe)
    torch.manual_seed(0)
    scores = erdos_renyi(0.3)(state.network, state.workload.train.sample(1, 0))
    state.masks = prune_weights(scores, {}, 0.7)
    state.apply_masks()
    return state


def alive(state: TrainingState) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in state.masks.items()}


def test_the_mask_moves_and_every_tensor_keeps_its_number_alive(make_state: MakeState) -> None:
    state = sparse(make_state)
    masks, counts = {n: m.clone() for n, m in state.masks.items()}, alive(state)
    train_epoch(state, Train("train", epochs=1, rewire=RULE), RECIPE, seed=0)
    assert alive(state) == counts
    moved = [float((mask != masks[name]).float().mean()) for name, mask in state.masks.items()]
    assert max(moved) > 0.01
    for name, mask in state.masks.items():
        assert torch.all(state.masked()[name][mask == 0] == 0)


def test_a_static_mask_stays_and_has_the_densities_written_out(make_state: MakeState) -> None:
    """The rule of Evci et al. once more: find the factor of all layers by bisection."""
    state = sparse(make_state)
    masks = {name: mask.clone() for name, mask in state.masks.items()}
    train_epoch(state, Train("train", epochs=1), RECIPE, seed=0)
    sizes = {name: mask.numel() for name, mask in masks.items()}
    raw = {name: sum(mask.shape) / mask.numel() for name, mask in masks.items()}
    low, high = 0.0, 1e6
    for _ in range(200):
        factor = (low + high) / 2
        kept = sum(min(1.0, factor * raw[name]) * size for name, size in sizes.items())
        low, high = (factor, high) if kept < 0.3 * sum(sizes.values()) else (low, factor)
    for name, mask in state.masks.items():
        assert torch.equal(mask, masks[name])
        assert float(mask.sum()) == pytest.approx(min(1.0, low * raw[name]) * sizes[name], abs=1)


def test_it_moves_every_so_many_steps_until_its_end(make_state: MakeState) -> None:
    state = sparse(make_state)
    due = [step for step in range(10) if Rewiring(state, RULE, steps=10).is_due(step)]
    assert due == [4, 8]  # never at the very first step
    state.schedule_epoch = 1.0
    due = [step for step in range(10) if Rewiring(state, RULE, steps=10).is_due(step)]
    assert due == [2]  # step 12 of all; the end is at step 15
    state.schedule_epoch = 2.0
    assert not any(Rewiring(state, RULE, steps=10).is_due(step) for step in range(10))


@RECIPES
def test_grown_weights_begin_at_zero_without_momentum(
    recipe: Training, make_state: MakeState
) -> None:
    state = sparse(make_state, recipe)
    train_epoch(state, Train("train", epochs=1), recipe, seed=0)
    masks = {name: mask.clone() for name, mask in state.masks.items()}
    for weight in state.masked().values():
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    state.schedule_epoch = 0.0
    Rewiring(state, RULE, steps=10).move(step=4)
    for name, weight in state.masked().items():
        grown = (state.masks[name] == 1) & (masks[name] == 0)
        assert grown.any() == (masks[name].mean() < 1), name
        assert torch.all(weight[grown] == 0)
        kept = [each for each in state.optimizer.state[weight].values() if each.ndim]
        assert len(kept) == (2 if recipe.optimizer == "adamw" else 1)
        assert all(torch.all(each[grown] == 0) and each.any() for each in kept)


def test_a_network_without_prunable_weights_is_refused_with_a_sentence(
    make_state: MakeState,
) -> None:
    state = make_state()
    state.network.requires_grad_(False)
    journal = SimpleNamespace(border=lambda _window: None)
    context = PhaseContext(state.workload, RECIPE, 0, state, journal, recall=lambda _method: None)
    with pytest.raises(RunError, match="vgg_small has no prunable weights"):
        execute(Mask(magnitude, 0.5), context, 0, lambda _epoch: None)
