"""The recipe's optimizer: torch's own steps, what decays, what is kept by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from harness import Train
from harness.settings.settings import Training
from harness.training.optimizer import (
    load_moments,
    make_optimizer,
    moments,
    parameter_groups,
)
from harness.training.precision import quantise_state
from harness.training.step import Step
from tests.training.conftest import ADAMW, RECIPE, RECIPES, MakeState

CPU = torch.device("cpu")


class Language(nn.Module):
    """A language model as people write them: the last layer shares the embedding's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(8, 4)
        self.positions = nn.Parameter(torch.zeros(1, 5, 4))
        self.attention = nn.MultiheadAttention(4, 2)
        self.norm = nn.LayerNorm(4)
        self.convolution = nn.Conv1d(4, 1, 1)
        self.scale = nn.Parameter(torch.ones(4, 1))
        self.head = nn.Linear(4, 8)
        self.head.weight = self.tokens.weight


WEIGHTS = {"attention.in_proj_weight", "attention.out_proj.weight", "convolution.weight"}


def test_only_weights_decay_where_that_is_asked_for() -> None:
    network = Language()
    decaying, rest = parameter_groups(network, ADAMW)
    assert (decaying["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    ids = list(map(id, decaying["params"]))
    assert {name for name, each in network.named_parameters() if id(each) in ids} == WEIGHTS
    assert len(ids) + len(rest["params"]) == len(list(network.parameters()))
    [everything] = parameter_groups(network, RECIPE)
    assert everything["weight_decay"] == RECIPE.weight_decay
    assert list(map(id, everything["params"])) == list(map(id, network.parameters()))


def test_what_does_not_train_is_in_no_group_and_keeps_nothing() -> None:
    network = Language()
    network.attention.requires_grad_(False)
    decaying, _ = parameter_groups(network, ADAMW)
    assert list(map(id, decaying["params"])) == [id(network.convolution.weight)]
    saved = {"attention.in_proj_weight": {"step": torch.ones(())}}
    optimizer = make_optimizer(network, ADAMW, CPU)
    load_moments(optimizer, network, saved)
    assert moments(optimizer, network) == {}


@RECIPES
def test_a_step_is_torchs_own(recipe: Training, make_state: MakeState) -> None:
    recipe = recipe.model_copy(update={"accumulate": 1})
    state, plain = make_state(recipe=recipe), make_state(recipe=recipe)
    network = plain.network.train()
    named = dict(network.named_parameters())
    if recipe.optimizer == "sgd":
        own: torch.optim.Optimizer = torch.optim.SGD(
            named.values(), 0.1, momentum=0.9, weight_decay=1e-4
        )
    else:
        convolutions = [each for name, each in named.items() if each.ndim > 1]
        others = [each for name, each in named.items() if each.ndim == 1]
        own = torch.optim.AdamW(
            [{"params": convolutions, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}],
            lr=0.003,
        )
    step = Step(state, Train("train", epochs=1), recipe)
    for seed in range(3):
        batch = state.workload.train.sample(32, seed)
        step(batch, 32)
        own.zero_grad()
        nn.functional.cross_entropy(network(batch[0]), batch[1]).backward()
        if recipe.clip_norm:
            norm = nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            assert norm > recipe.clip_norm, "nothing was clipped"
        own.step()
    for name, value in state.network.named_parameters():
        assert torch.equal(value, named[name]), name


def test_a_clipped_gradient_counts_its_penalties(make_state: MakeState) -> None:
    recipe = RECIPE.model_copy(update={"clip_norm": 0.01})
    state = make_state(recipe=recipe)
    Step(state, Train("train", epochs=1, l1_gamma=100.0), recipe)(
        state.workload.train.sample(32, 0), 32
    )
    gradients = [each.grad for each in state.network.parameters() if each.grad is not None]
    norm = torch.stack([each.norm() for each in gradients]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.01), atol=1e-6, rtol=1e-3)


def test_an_older_checkpoint_numbers_its_parameters() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before = make_optimizer(network, RECIPE, CPU)
    network(torch.ones(1, 3)).sum().backward()
    before.step()
    optimizer = make_optimizer(network, RECIPE, CPU)
    load_moments(optimizer, network, before.state_dict())
    assert moments(optimizer, network).keys() == dict(network.named_parameters()).keys()
    for parameter, entries in before.state.items():
        kept = optimizer.state[parameter]["momentum_buffer"]
        assert torch.equal(kept, entries["momentum_buffer"])


def test_in_8_bits_the_first_moment_is_rounded_and_the_second_is_not() -> None:
    network = nn.Linear(7, 5)
    optimizer = make_optimizer(network, ADAMW, CPU)
    network(torch.rand(3, 7)).square().sum().backward()
    optimizer.step()
    kept = optimizer.state[network.weight]
    before = {key: value.clone() for key, value in kept.items()}
    quantise_state(optimizer)
    assert not torch.equal(kept["exp_avg"], before["exp_avg"])
    assert torch.equal(kept["exp_avg_sq"], before["exp_avg_sq"])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"optimizer": "adamw", "learning_rate": 0.001, "momentum": 0.95}, "momentum is given"),
        ({"optimizer": "adamw", "learning_rate": 0.001, "nesterov": True}, "nesterov is given"),
        ({"optimizer": "adamw"}, "0.1 is SGD's"),
        ({"betas": (0.9, 0.95)}, "betas is given, but sgd has momentum and nesterov"),
        ({"eps": 1e-6}, "eps is given"),
        ({"momentum": 0, "nesterov": True}, "nesterov needs momentum"),
        ({"accumulate": 9, "batch_size": 8}, "9 parts are more than the 8 samples"),
    ],
)
def test_what_does_not_fit_the_optimizer_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Training(**wrong)


def test_a_record_of_either_optimizer_is_read_again() -> None:
    for recipe in (RECIPE, ADAMW):
        assert Training(**recipe.model_dump(mode="json")) == recipe
