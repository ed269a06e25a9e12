"""The moving average is that of the weights, is what is evaluated, and holds masked zeros."""

from __future__ import annotations

import torch

from harness import Rewire, Train, magnitude
from harness.pruning.weights import prune_weights
from harness.training.loop import score
from harness.training.rewiring import Rewiring
from harness.training.state import TrainingState
from harness.training.step import Step
from tests.training.conftest import RECIPE, MakeState

EMA = RECIPE.model_copy(update={"ema": 0.75})


def stepped(make_state: MakeState, steps: int = 3) -> TrainingState:
    state = make_state(recipe=EMA)
    step = Step(state, Train("train", epochs=1), EMA)
    for seed in range(steps):
        step(state.workload.train.sample(32, seed), 32)
    return state


def test_it_is_the_mean_of_the_weights_with_shares_that_fall(make_state: MakeState) -> None:
    expected = {
        name: value.detach().clone() for name, value in stepped(make_state, 0).average.items()
    }
    for steps in (1, 2, 3):
        state = stepped(make_state, steps)
        for name, value in state.network.named_parameters():
            expected[name] = 0.75 * expected[name] + 0.25 * value.detach()
    assert state.average.keys() == dict(state.network.named_parameters()).keys()
    for name, value in state.average.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5, msg=name)


def test_it_is_evaluated_in_place_of_the_weights(make_state: MakeState) -> None:
    state, plain = stepped(make_state), make_state()
    split = state.workload.validation
    plain.network.load_state_dict({**state.network.state_dict(), **state.average})
    expected = score(plain, split, RECIPE)
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.fill_(torch.nan)
    assert score(state, split, EMA) == expected
    assert state.network.training is False


def test_what_a_mask_holds_at_zero_is_zero_in_it(make_state: MakeState) -> None:
    state = stepped(make_state)
    batch = state.workload.train.sample(32, 0)
    state.masks = prune_weights(magnitude(state.network, batch), {}, 0.5)
    state.apply_masks()
    step = Step(state, Train("train", epochs=1), EMA)
    step(batch, 32)
    before = {name: mask.clone() for name, mask in state.masks.items()}
    Rewiring(state, Rewire(1, 0.5, 2.0), steps=10).move(step=1)
    assert any(not torch.equal(before[name], mask) for name, mask in state.masks.items())
    for name, mask in state.masks.items():
        assert not state.average[name][mask == 0].any(), name
        assert state.average[name].any(), name


def test_drawn_again_it_begins_at_the_new_weights(make_state: MakeState) -> None:
    state = stepped(make_state)
    state.reinitialise(draw=1)
    for name, value in state.network.named_parameters():
        assert torch.equal(state.average[name], value), name
