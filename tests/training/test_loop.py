"""The one loop: the same data in the same order for everybody, and the penalty of the paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from harness import Train
from harness.batch_norm import gamma, scaled_batch_norms
from harness.training.loop import accuracy, train_epoch
from harness.training.seeds import stream
from harness.training.state import TrainingState
from harness.workloads.augment import random_crop, random_flip
from harness.workloads.workload import Workload
from tests.training.conftest import RECIPE, MakeState


def hand_written_epoch(state: TrainingState, seed: int, l1_gamma: float) -> None:
    """One epoch as one would write it without the harness."""
    workload = state.workload
    epoch_seed = stream(seed, "epoch", 0)
    torch.manual_seed(epoch_seed)
    generator = torch.Generator().manual_seed(epoch_seed)
    order = torch.randperm(len(workload.train), generator=generator)
    steps = [order[i : i + 128] for i in range(0, len(order), 128)]
    for step, index in enumerate(steps):
        rate = 0.1 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / len(steps) / 3)).item())
        state.optimizer.param_groups[0]["lr"] = rate
        images = workload.augment(workload.train.images[index], generator)
        state.network.train()
        loss = F.cross_entropy(state.network(images), workload.train.labels[index])
        for layer in scaled_batch_norms(state.network).values():
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
        said = state.network.eval()(split.images).argmax(1)
    expected = (said == split.labels).float().mean().item()
    assert abs(accuracy(state, split) - expected) < 1e-6


def test_splits_are_disjoint_complete_and_hold_every_class(workload: Workload) -> None:
    parts = (workload.train, workload.validation, workload.test)
    assert sum(map(len, parts)) == 1797
    for part in parts:
        assert set(part.labels.tolist()) == set(range(10))
    pictures = torch.cat([part.images.flatten(1) for part in parts])
    assert len(torch.unique(pictures, dim=0)) == 1797


def test_normalised_by_the_training_set_alone(workload: Workload) -> None:
    assert abs(float(workload.train.images.mean())) < 1e-5
    assert abs(float(workload.train.images.std()) - 1) < 1e-3
    assert abs(float(workload.test.images.mean())) > 1e-5


def test_crops_are_shifts_and_flips_are_mirrors() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4) + 1
    shifts = [
        F.pad(images, (1, 1, 1, 1))[:, :, r : r + 4, c : c + 4] for r in range(3) for c in range(3)
    ]
    seen = set()
    for _ in range(60):
        crop = random_crop(images, 1, 0.0, generator)
        for sample in range(2):
            matches = [i for i, s in enumerate(shifts) if torch.equal(crop[sample], s[sample])]
            assert len(matches) == 1
            seen.add(matches[0])
        flipped = random_flip(images, generator)
        for sample in range(2):
            mirrored = torch.equal(flipped[sample], images[sample].flip(-1))
            assert mirrored or torch.equal(flipped[sample], images[sample])
    assert seen == set(range(9))
