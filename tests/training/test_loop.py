"""The one loop: the same data in the same order for everybody, and the penalty of the paper."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from harness import Train
from harness.pruning.groups import gamma, scaled_norms
from harness.training.loop import score, train_epoch
from harness.training.state import TrainingState, stream
from tests.training.conftest import RECIPE, MakeState


def hand_written_epoch(state: TrainingState, seed: int, l1_gamma: float) -> None:
    """One epoch as one would write it without the harness."""
    epoch_seed = stream(seed, "epoch", 0)
    torch.manual_seed(epoch_seed)
    batches = list(state.workload.train.epoch(128, epoch_seed))
    for step, (pictures, labels) in enumerate(batches):
        rate = 0.1 * 0.5 * (1 + math.cos(math.pi * step / len(batches) / 3))
        state.optimizer.param_groups[0]["lr"] = rate
        state.network.train()
        loss = F.cross_entropy(state.network(pictures), labels)
        for layer in scaled_norms(state.network).values():
            loss = loss + l1_gamma * gamma(layer).abs().sum()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()


def test_an_epoch_equals_one_written_by_hand(make_state: MakeState) -> None:
    ours, by_hand = make_state(), make_state()
    train_epoch(ours, Train("train", epochs=1, l1_gamma=1e-2), RECIPE, seed=0)
    hand_written_epoch(by_hand, seed=0, l1_gamma=1e-2)
    for name, value in ours.network.state_dict().items():
        other = by_hand.network.state_dict()[name]
        torch.testing.assert_close(value, other, atol=1e-5, rtol=1e-4, msg=name)


def test_seeds_decide_weights_and_order(make_state: MakeState) -> None:
    same, again, other = make_state(0), make_state(0), make_state(1)
    for state, seed in ((same, 0), (again, 0), (other, 1)):
        train_epoch(state, Train("train", epochs=1), RECIPE, seed)
    ours, twin, foreign = (s.network.state_dict()["0.weight"] for s in (same, again, other))
    assert torch.equal(ours, twin)
    assert not torch.equal(ours, foreign)


def test_a_constant_rate_replaces_the_schedule(make_state: MakeState) -> None:
    state = make_state()
    train_epoch(state, Train("tune", epochs=1, rate=0.01), RECIPE, seed=0)
    assert state.optimizer.param_groups[0]["lr"] == 0.1 * 0.01


def test_accuracy_counts_right_answers(make_state: MakeState) -> None:
    state = make_state()
    split = state.workload.validation
    with torch.no_grad():
        predicted = state.network.eval()(split.images).argmax(1)
    expected = (predicted == split.labels).float().mean().item()
    assert abs(score(state, split, RECIPE) - expected) < 1e-6
