"""What a checkpoint holds comes back bit by bit; shrinking and rewinding lose nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

from harness import Train, bn_channel_mask, magnitude
from harness.errors import RunError
from harness.pruning.weights import prune_weights
from harness.settings.settings import Training
from harness.training.loop import train_epoch
from harness.training.optimizer import moments
from harness.training.state import TrainingState
from tests.training.conftest import MODELS, RECIPE, MakeState

TRAIN = Train("train", epochs=1, l1_gamma=1e-4)


def weights(state: TrainingState) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.network.state_dict().items()}


def kept(state: TrainingState) -> dict[str, torch.Tensor]:
    """What the optimizer keeps, by the name of the parameter and its own."""
    return {
        f"{name} {key}": value.clone()
        for name, entries in moments(state.optimizer, state.network).items()
        for key, value in entries.items()
    }


def pairs(values: torch.Tensor, others: torch.Tensor) -> set[tuple[float, float]]:
    return set(zip(values.flatten().tolist(), others.flatten().tolist(), strict=True))


def everything_kept(state: TrainingState) -> dict[str, torch.Tensor]:
    average = {f"average of {name}": value for name, value in state.average.items()}
    chosen_by = {} if state.losses is None else {"losses": state.losses.nan_to_num(-1.0)}
    return {**weights(state), **kept(state), **average, **chosen_by}


def assert_same(one: TrainingState, other: TrainingState) -> None:
    ours, theirs = everything_kept(one), everything_kept(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert one.schedule_epoch == other.schedule_epoch
    assert one.epochs_trained == other.epochs_trained
    assert one.samples_trained == other.samples_trained


def ticket(state: TrainingState, ratio: float = 0.5) -> None:
    state.shrink(bn_channel_mask(ratio, 8, 8)(state.network, state.workload.train.sample(1, 0)))


@MODELS
def test_saved_and_loaded_it_trains_on_bit_equal(
    model: str, recipe: Training, make_state: MakeState
) -> None:
    state = make_state(recipe=recipe, model=model)
    train_epoch(state, TRAIN, recipe, seed=0)
    ticket(state)
    train_epoch(state, TRAIN, recipe, seed=0)
    state.masks = prune_weights(
        magnitude(state.network, state.workload.train.sample(1, 0)), state.masks, fraction=0.2
    )
    state.apply_masks()
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    buffer.seek(0)
    other = make_state(seed=7, recipe=recipe, model=model)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_same(state, other)
    for each in (state, other):
        train_epoch(each, TRAIN, recipe, seed=0)
    assert_same(state, other)


@MODELS
def test_the_optimizers_state_and_masks_go_along_when_channels_go(
    model: str, recipe: Training, make_state: MakeState
) -> None:
    """A shrunk network steps as its unpruned self would on the channels that stay."""
    state = make_state(recipe=recipe, model=model)
    train_epoch(state, TRAIN, recipe, seed=0)
    before, everything = kept(state), weights(state)
    ticket(state)
    survivors = dict(state.network.named_parameters())
    assert kept(state).keys() == before.keys()
    assert len(before) == (3 if recipe.optimizer == "adamw" else 1) * len(survivors)
    for name, value in kept(state).items():
        of = name.split()[0]
        if name.endswith("step"):
            assert torch.equal(value, before[name])
            continue
        assert value.shape == survivors[of].shape
        # Each surviving weight still has the momentum that it had.
        assert pairs(survivors[of].detach(), value) <= pairs(everything[of], before[name]), name


def test_after_a_shrink_every_parameter_still_trains(make_state: MakeState) -> None:
    state = make_state()
    ticket(state)
    before = weights(state)
    train_epoch(state, TRAIN, RECIPE, seed=0)
    unchanged = [
        name
        for name, parameter in state.network.named_parameters()
        if torch.equal(parameter.detach(), before[name])
    ]
    assert unchanged == []


def test_rewinding_returns_to_the_snapshot_bit_by_bit_under_the_mask(
    make_state: MakeState,
) -> None:
    state = make_state()
    train_epoch(state, TRAIN, RECIPE, seed=0)
    state.take_snapshot("early")
    early = weights(state)
    train_epoch(state, TRAIN, RECIPE, seed=0)
    state.masks = prune_weights(
        magnitude(state.network, state.workload.train.sample(1, 0)), {}, 0.5
    )
    state.apply_masks()
    state.rewind("early")
    assert state.schedule_epoch == 1
    assert state.epochs_trained == 2
    for name, value in weights(state).items():
        expected = early[name] * state.masks[name] if name in state.masks else early[name]
        assert torch.equal(value, expected), name
    train_epoch(state, TRAIN, RECIPE, seed=0)
    for name, mask in state.masks.items():
        assert torch.all(weights(state)[name][mask == 0] == 0)


def test_rewinding_a_shrunk_network_gives_the_snapshots_weights_at_todays_widths(
    make_state: MakeState,
) -> None:
    state = make_state()
    state.take_snapshot("start")
    start = weights(state)
    train_epoch(state, TRAIN, RECIPE, seed=0)
    ticket(state)
    state.take_snapshot("smaller")
    train_epoch(state, TRAIN, RECIPE, seed=0)
    ticket(state)
    widths = {name: value.shape for name, value in weights(state).items()}
    state.rewind("start")
    assert {name: value.shape for name, value in weights(state).items()} == widths
    for name, value in weights(state).items():
        assert set(value.flatten().tolist()) <= set(start[name].flatten().tolist()), name


def test_rewinding_to_what_was_never_kept_is_reported(make_state: MakeState) -> None:
    with pytest.raises(RunError, match="rewinds to 'nowhere' but never took"):
        make_state().rewind("nowhere")


def test_reinitialising_keeps_the_structure_and_draws_other_weights(
    make_state: MakeState,
) -> None:
    state = make_state()
    train_epoch(state, TRAIN, RECIPE, seed=0)
    ticket(state)
    before = weights(state)
    state.reinitialise(draw=1)
    after = weights(state)
    assert {n: v.shape for n, v in before.items()} == {n: v.shape for n, v in after.items()}
    assert not torch.equal(before["0.weight"], after["0.weight"])
    assert torch.all(after["1.weight"] == 0.5)
    assert torch.all(after["1.running_mean"] == 0)
    assert state.schedule_epoch == 0


def test_a_checkpoint_that_hides_code_is_refused(tmp_path: Path) -> None:
    from harness.training.checkpoint import Checkpoint

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"number": 1, "phase": 0, "epoch": 0, "state": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        Checkpoint.load(tmp_path / "trap.pt", torch.device("cpu"))
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_an_older_version_calls_its_score_an_accuracy(tmp_path: Path) -> None:
    from harness.training.checkpoint import Checkpoint

    old = {"number": 1, "phase": 0, "epoch": 2, "state": {}, "val_accuracy": 0.5}
    torch.save(old, tmp_path / "checkpoint.pt")
    found = Checkpoint.load(tmp_path / "checkpoint.pt", torch.device("cpu"))
    assert found == Checkpoint(1, 0, 2, {}, val_score=0.5)
