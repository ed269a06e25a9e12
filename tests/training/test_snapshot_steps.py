"""A snapshot within an epoch changes nothing; rewinding to it trains what is left of the epoch."""

from __future__ import annotations

import math

import pytest
import torch

from harness import Train
from harness.training import loop
from harness.training.loop import train_epoch
from harness.training.state import TrainingState
from tests.training.conftest import RECIPE, MakeState

TRAIN = Train("train", epochs=1)


def weights(state: TrainingState) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    # Batches are counted at the end of an epoch, and the count is of no use to training.
    values = {name: value for name, value in one.items() if "num_batches" not in name}
    return all(torch.equal(value, other[name]) for name, value in values.items())


def steps_of(state: TrainingState) -> int:
    return len(state.workload.train.epoch(RECIPE.batch_size, 0))


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Where on the schedule each step is taken."""
    found: list[float] = []
    rate_share = loop.rate_share

    def noted(training: object, place: float, horizon: float) -> float:
        found.append(place)
        return rate_share(training, place, horizon)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "rate_share", noted)
    return found


@pytest.mark.parametrize("step", [0, 1, 4, None])
def test_training_goes_on_as_if_no_snapshot_had_been_taken(
    make_state: MakeState, step: int | None
) -> None:
    plain, watched = make_state(), make_state()
    at = steps_of(plain) if step is None else step
    taken: list[float] = []
    train_epoch(plain, TRAIN, RECIPE, seed=0)

    def take(place: float) -> None:
        taken.append(place)
        watched.take_snapshot("early", place)

    train_epoch(watched, TRAIN, RECIPE, seed=0, snapshot=(at, take))
    assert taken == [at / steps_of(plain)]
    assert same(weights(plain), weights(watched))
    assert plain.schedule_epoch == watched.schedule_epoch == 1.0


def test_a_rewound_epoch_has_the_steps_that_were_left(
    make_state: MakeState, places: list[float]
) -> None:
    state = make_state()
    steps = steps_of(state)
    train_epoch(state, TRAIN, RECIPE, seed=0)
    train_epoch(
        state, TRAIN, RECIPE, seed=0, snapshot=(4, lambda at: state.take_snapshot("early", at))
    )
    state.rewind("early")
    assert state.schedule_epoch == pytest.approx(1 + 4 / steps)
    places.clear()
    loss = train_epoch(state, TRAIN, RECIPE, seed=0)
    assert math.isfinite(float(loss))
    assert places == pytest.approx([1 + step / steps for step in range(4, steps)])
    assert state.schedule_epoch == 2.0
    places.clear()
    train_epoch(state, TRAIN, RECIPE, seed=0)
    assert places == pytest.approx([2 + step / steps for step in range(steps)])


def test_the_snapshot_is_the_network_after_that_step(
    make_state: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = make_state(), make_state()
    train_epoch(whole, TRAIN, RECIPE, seed=0, snapshot=(3, lambda at: whole.take_snapshot("e", at)))
    after = weights(whole)
    whole.rewind("e")
    assert not same(weights(whole), after)
    # The same order of samples, ended by hand after three steps.
    islice = loop.islice
    monkeypatch.setattr(loop, "islice", lambda batches, _steps: islice(batches, 3))
    train_epoch(cut, TRAIN, RECIPE, seed=0)
    assert same(weights(whole), weights(cut))
