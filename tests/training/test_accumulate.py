"""A batch in parts is one step, by the gradient of the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness import Train
from harness.training.loop import train_epoch
from harness.training.state import TrainingState
from harness.training.step import Step, parts_in, parts_of
from harness.workloads.source import Part
from tests.training.conftest import RECIPE, MakeState

PARTS = RECIPE.model_copy(update={"accumulate": 3, "batch_size": 32, "label_smoothing": 0.1})
WHOLE = PARTS.model_copy(update={"accumulate": 1})


def without_norms(state: TrainingState) -> TrainingState:
    for name, module in list(state.network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            state.network.set_submodule(name, nn.Identity())
    state._renew()
    return state


@pytest.mark.parametrize("samples", [32, 13, 1])
def test_the_step_and_its_loss_are_those_of_the_whole_batch(
    samples: int, make_state: MakeState
) -> None:
    found = []
    for recipe in (PARTS, WHOLE):
        state = without_norms(make_state(recipe=recipe))
        step = Step(state, Train("train", epochs=1), recipe)
        step(state.workload.train.sample(samples, seed=0), samples)
        found.append((step.total, dict(state.network.named_parameters())))
    (ours, weights), (theirs, expected) = found
    torch.testing.assert_close(ours, theirs)
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("whole", "count"), [(32, 3), (22, 2), (11, 1), (1, 1)])
def test_a_smaller_last_batch_has_fewer_parts(whole: int, count: int) -> None:
    assert parts_of(whole, PARTS) == count


def test_parts_hold_every_sample_once_and_are_those_of_one_process(make_state: MakeState) -> None:
    batch = make_state().workload.train.sample(32, seed=0)
    parts = parts_in(batch, 32, PARTS)
    assert sorted(len(part[1]) for part in parts) == [10, 11, 11]
    assert all(len(images) == len(labels) for images, labels in parts)
    together = torch.cat([part[0] for part in parts]).flatten(1).sum(1).sort().values
    torch.testing.assert_close(together, batch[0].flatten(1).sum(1).sort().values)

    two = PARTS.model_copy(update={"accumulate": 2})
    shares = [[each[Part(rank, 2).among(32)] for each in batch] for rank in range(2)]
    by_rank = [parts_in(type(batch)(*share), 32, two) for share in shares]
    for own, *others in zip(parts_in(batch, 32, two), *by_rank, strict=True):
        for ours, *theirs in zip(own, *others, strict=True):
            assert torch.equal(ours, torch.cat(theirs))


def test_batchnorm_counts_the_parts(make_state: MakeState) -> None:
    state = make_state(recipe=PARTS)
    samples = len(state.workload.train)
    train_epoch(state, Train("train", epochs=1), PARTS, seed=0)
    expected = 3 * (samples // 32) + parts_of(samples % 32, PARTS)
    counts = {
        int(module.num_batches_tracked)
        for module in state.network.modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    assert counts == {expected}
