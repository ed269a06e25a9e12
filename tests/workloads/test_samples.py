"""Map-style data sets of one's own: read by workers or resident, drawn at random by seed alone."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from harness import Samples
from harness.errors import RunError
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.loaded import checked
from harness.workloads.resident import Rows
from harness.workloads.samples import sample_sources
from harness.workloads.source import LoadingContext, Opened, Part

CPU = torch.device("cpu")
COUNT = 40


class Noisy(Dataset[Any]):
    """Numbers with noise from every generator that transforms use; classes are 0 and 1."""

    def __init__(self, count: int, noise: float = 1.0) -> None:
        self._count, self._noise = count, noise

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> tuple[Any, int]:
        if number == 13 and self._noise == 13:
            raise KeyError("thirteen")
        drawn = [random.random(), np.random.rand(), float(torch.rand(()))]
        return np.array([float(number), *(self._noise * x for x in drawn)]), number % 2


NOISY = Samples(Noisy(COUNT), Noisy(12), outputs=2, plain=Noisy(COUNT, noise=0.0))


def opened(
    samples: Samples, part: Part | None = None, recipe: Training | None = None, **keys: Any
) -> Opened:
    choice = WorkloadChoice(data="digits", model="vgg_small", **{"workers": 0, **keys})
    return sample_sources(
        samples, LoadingContext(choice, recipe or Training(), CPU, part or Part())
    )


def rows(batches: Any) -> list[list[float]]:
    return torch.cat([batch.inputs for batch in batches]).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_follows_from_its_seed_whatever_generator_a_data_set_uses(workers: int) -> None:
    train = opened(NOISY, workers=workers).train
    first = rows(train.epoch(8, seed=1))
    random.random(), np.random.rand(), torch.rand(3)
    assert rows(train.epoch(8, seed=1)) == first == rows(opened(NOISY).train.epoch(5, seed=1))
    other = rows(train.epoch(8, seed=2))
    assert sorted(row[0] for row in other) == sorted(row[0] for row in first)
    drawn = [column for row in (*first, *other) for column in row[1:]]
    assert len(set(drawn)) == len(drawn), "each sample draws its own"


def test_the_generators_of_the_process_are_left_alone() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    found = opened(NOISY)
    rows(found.train.epoch(8, 0))
    found.test.sample(3, 0)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_parts_are_disjoint_and_only_training_is_augmented() -> None:
    found = opened(NOISY)
    train, validation = rows(found.train.in_order()), rows(found.validation.in_order())
    numbers = [row[0] for row in (*train, *validation)]
    assert sorted(numbers) == list(range(COUNT))
    assert all(row[1:] == [0, 0, 0] for row in (*train, *validation))
    assert all(all(row[1:]) for row in rows(found.train.epoch(8, 0)))
    assert [row[0] for row in rows(found.test.in_order(5))] == list(range(12))
    assert found.example.shape == (1, 4)
    assert found.example.dtype == torch.float32, "as networks compute"


def test_the_test_set_is_the_same_whenever_it_is_looked_at() -> None:
    found = opened(NOISY)
    assert rows(found.test.in_order(5)) == rows(found.test.in_order(3))


def test_shares_of_several_processes_make_up_the_same_batches() -> None:
    shares = [[*opened(NOISY, Part(rank, 2)).train.epoch(8, 1)] for rank in range(2)]
    whole = [batch.inputs for batch in opened(NOISY).train.epoch(8, 1)]
    for expected, parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert torch.equal(torch.cat([part.inputs for part in parts]), expected)


def test_classes_are_held_out_in_proportion() -> None:
    labels = torch.tensor([0] * 32 + [1] * 8)
    found = opened(replace(NOISY, labels=labels), validation_share=0.25, train_samples=10)
    held_out = [int(row[0]) for row in rows(found.validation.in_order())]
    assert sorted(int(labels[each]) for each in held_out) == [0] * 8 + [1] * 2
    trained = [int(row[0]) for row in rows(found.train.in_order())]
    assert sorted(int(labels[each]) for each in trained) == [0] * 8 + [1] * 2
    assert not {*held_out} & {*trained}


def test_labels_are_taken_from_where_torchvision_has_them() -> None:
    data = Noisy(COUNT)
    data.targets = [0] * 30 + [1] * 10  # type: ignore[attr-defined]
    found = Samples(data, Noisy(9), outputs=2).classes
    assert found is not None
    assert found.tolist() == [0] * 30 + [1] * 10
    assert Samples(data, Noisy(9), outputs=2, task="other").classes is None


def numbers(count: int = COUNT) -> TensorDataset:
    return TensorDataset(torch.arange(float(count))[:, None], torch.arange(count) % 2)


def test_tensors_are_resident_and_others_where_asked() -> None:
    tensors = Samples(numbers(), numbers(9), outputs=2)
    found = opened(tensors)
    assert isinstance(found.train, Rows)
    assert not isinstance(opened(tensors, input="loader").train, Rows)
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(found, part), getattr(opened(tensors, input="loader"), part)
        assert rows(ours.in_order(7)) == rows(theirs.in_order(7))
    assert isinstance(opened(replace(NOISY, plain=None), input="resident").train, Rows)
    with pytest.raises(RunError, match="augmented whenever"):
        opened(NOISY, input="resident")


def test_a_sample_that_cannot_be_read_is_named() -> None:
    faulty = replace(NOISY, train=Noisy(COUNT, noise=13))
    with pytest.raises(RunError, match=r"training sample 13 .*KeyError: 'thirteen'"):
        rows(opened(faulty).train.epoch(8, 0))
    single = replace(NOISY, test=[1.0, 2.0])
    with pytest.raises(RunError, match=r"test sample 0 .*TypeError"):
        rows(opened(single).test.in_order())


def test_what_only_images_have_is_refused() -> None:
    with pytest.raises(RunError, match=r"training\.cutout is for images"):
        opened(NOISY, recipe=Training(cutout=4))


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (replace(NOISY, outputs=0), "outputs"),
        (replace(NOISY, test=iter([])), "test: must have __len__"),
        (replace(NOISY, test=[]), "test: has no samples"),
        (replace(NOISY, plain=Noisy(3)), "plain: has 3 samples, but train has 40"),
        (replace(NOISY, labels=torch.zeros(3)), "labels"),
    ],
)
def test_what_is_wrong_with_samples_is_named(faulty: Samples, message: str) -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small")
    assert checked(NOISY, choice) is NOISY
    with pytest.raises(RunError) as caught:
        checked(faulty, choice)
    assert f"workload.data 'digits': {message}" in str(caught.value)


def test_another_identity_is_seen() -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small")

    def digest(samples: Samples) -> str:
        return str(identity_of(choice, samples)["digest"])

    assert digest(NOISY) == digest(replace(NOISY, plain=None))
    changed = [
        replace(NOISY, identity="2"),
        replace(NOISY, test=Noisy(11)),
        replace(NOISY, labels=torch.arange(COUNT) % 2),
        Samples(numbers(), numbers(12), outputs=2),
    ]
    assert len({digest(NOISY), *map(digest, changed)}) == 5
    tensors = Samples(numbers(), numbers(12), outputs=2)
    moved = Samples(TensorDataset(torch.ones(COUNT, 1), torch.arange(COUNT) % 2), numbers(12), 2)
    assert digest(tensors) != digest(moved)
