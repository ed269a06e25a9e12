"""What both kinds of source promise: batches that follow from their seed, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.errors import RunError
from harness.pruning.batch import Batch
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.source import WHOLE, Part, samples_of_epoch
from harness.workloads.workload import Workload, open_workload
from tests.workloads import files

RECIPE = Training(crop_padding=1, flip=True, cutout=3)
KINDS = [("resident", 0), ("loader", 0), ("loader", 2)]


def opened(
    input_: str = "resident", workers: int = 0, recipe: Training = RECIPE, part: Part = WHOLE
) -> Workload:
    choice = WorkloadChoice(data="digits", model="vgg_small", input=input_, workers=workers)
    return open_workload(choice, recipe, torch.device("cpu"), part)


def assert_equal(ones: list[Batch], others: list[Batch]) -> None:
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def as_set(images: Tensor) -> set[tuple[float, ...]]:
    return {tuple(image.flatten().tolist()) for image in images}


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_an_epoch_follows_from_its_seed_alone(input_: str, workers: int) -> None:
    train = opened(input_, workers).train
    first = list(train.epoch(100, seed=3))
    next(iter(train.epoch(100, seed=4)))  # begun and abandoned
    train.sample(5, seed=0)
    torch.rand(7)
    assert_equal(list(train.epoch(100, seed=3)), first)
    assert_equal(list(opened(input_, workers).train.epoch(100, seed=3)), first)
    other = next(iter(train.epoch(100, seed=4)))
    assert not torch.equal(other.targets, first[0].targets)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_of_an_epoch_only_what_is_chosen_is_drawn_in_its_order(input_: str, workers: int) -> None:
    train = opened(input_, workers, Training()).train
    everything = train.epoch(100, seed=3, choose=lambda order: order)
    order = torch.cat([batch.index for batch in everything if batch.index is not None])
    assert_equal(list(everything), list(train.epoch(100, seed=3)))
    assert sorted(order.tolist()) == list(range(len(train)))[: len(order)]
    some = train.epoch(100, seed=3, choose=lambda order: order[order % 3 == 0])
    drawn = list(some)
    expected = order[order % 3 == 0]
    assert len(some) == len(drawn) == -(-len(expected) // 100)
    assert torch.equal(torch.cat([b.index for b in drawn if b.index is not None]), expected)
    whole = torch.cat([batch.inputs for batch in everything])
    assert torch.equal(torch.cat([batch.inputs for batch in drawn]), whole[order % 3 == 0])
    assert len(list(train.epoch(100, seed=3, choose=lambda order: order[:0]))) == 0


@pytest.mark.parametrize(("input_", "workers"), KINDS[:2])
def test_a_last_batch_of_one_sample_is_left_out_and_no_other(input_: str, workers: int) -> None:
    train = opened(input_, workers).train
    size = next(each for each in range(100, len(train)) if len(train) % each == 1)
    batches = train.epoch(size, seed=3)
    sizes = [len(batch.targets) for batch in batches]
    assert sizes == [size] * (len(train) // size)
    assert len(batches) == len(sizes)
    with_two = train.epoch(size - 1, seed=3)
    assert sum(len(batch.targets) for batch in with_two) == len(train)
    singly = train.epoch(1, seed=3)
    assert len(singly) == len(train)
    assert samples_of_epoch(1, 256) == 1
    # Left out of training alone.
    assert sum(len(batch.targets) for batch in train.in_order(size)) == len(train)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_the_shares_of_several_processes_make_up_the_same_batches(
    input_: str, workers: int
) -> None:
    whole = opened(input_, workers)
    shares = [opened(input_, workers, part=Part(rank, 3)) for rank in range(3)]
    expected = list(whole.train.epoch(100, seed=3))
    parts = [list(share.train.epoch(100, seed=3)) for share in shares]
    together = [
        Batch(*map(torch.cat, zip(*batch, strict=True))) for batch in zip(*parts, strict=True)
    ]
    assert_equal(together, expected)
    tested = torch.cat([batch.targets for share in shares for batch in share.test.in_order(50)])
    assert torch.equal(tested, torch.cat([batch.targets for batch in whole.test.in_order(50)]))
    assert_equal([share.train.sample(9, 1) for share in shares], [whole.train.sample(9, 1)] * 3)


def test_the_number_of_workers_changes_nothing() -> None:
    one, two, none = (opened("loader", workers).train for workers in (1, 2, 0))
    expected = list(none.epoch(64, seed=5))
    assert_equal(list(one.epoch(64, seed=5)), expected)
    assert_equal(list(two.epoch(64, seed=5)), expected)


def test_a_samples_augmentation_does_not_depend_on_its_batch() -> None:
    train = opened("loader").train
    small, large = (
        torch.cat([batch.inputs for batch in train.epoch(size, seed=1)]) for size in (50, 700)
    )
    assert torch.equal(small, large)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_the_global_generator_is_left_alone(input_: str, workers: int) -> None:
    before = torch.get_rng_state()
    workload = opened(input_, workers)
    next(iter(workload.train.epoch(100, seed=3)))
    list(workload.validation.in_order())
    workload.train.sample(3, seed=1)
    workload.initialise(workload.build_network(seed=2), seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_every_sample_comes_once(input_: str, workers: int) -> None:
    train = opened(input_, workers, Training()).train
    epoch, in_order = train.epoch(500, seed=0), train.in_order(400)
    assert (len(epoch), len(in_order)) == (3, 4)
    shuffled = [batch.inputs for batch in epoch]
    assert [len(images) for images in shuffled] == [500, 500, len(train) - 1000]
    plain = as_set(torch.cat([batch.inputs for batch in in_order]))
    assert as_set(torch.cat(shuffled)) == plain
    assert len(plain) == len(train)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_samples_are_different_plain_training_images(input_: str, workers: int) -> None:
    train = opened(input_, workers).train
    plain = as_set(torch.cat([batch.inputs for batch in train.in_order()]))
    some, again, other = train.sample(70, 1), train.sample(70, 1), train.sample(70, 2)
    assert len(as_set(some.inputs)) == 70
    assert as_set(some.inputs) <= plain
    assert torch.equal(some.inputs, again.inputs)
    assert not torch.equal(some.inputs, other.inputs)
    assert len(train.sample(10**6, 0).targets) == len(train)


@pytest.mark.parametrize(("input_", "workers"), KINDS)
def test_splits_are_disjoint_complete_and_hold_every_class(input_: str, workers: int) -> None:
    workload = opened(input_, workers)
    parts = [list(p.in_order()) for p in (workload.train, workload.validation, workload.test)]
    for part in parts:
        assert set(torch.cat([batch.targets for batch in part]).tolist()) == set(range(10))
    pictures = [as_set(torch.cat([batch.inputs for batch in part])) for part in parts]
    assert len(set.union(*pictures)) == sum(map(len, pictures)) == 1797


def test_both_kinds_hold_the_same_images_in_the_same_splits() -> None:
    resident, loader = opened("resident"), opened("loader")
    for name in ("train", "validation", "test"):
        ours, theirs = (list(getattr(each, name).in_order(2000)) for each in (resident, loader))
        assert torch.equal(ours[0].targets, theirs[0].targets)
        # The loader's pixels are 8-bit numbers, where the digits have 17 levels.
        torch.testing.assert_close(ours[0].inputs, theirs[0].inputs, atol=0.01, rtol=0)


def test_normalised_by_the_training_set_alone() -> None:
    workload = opened()
    assert abs(float(workload.train.images.mean())) < 1e-5
    assert abs(float(workload.train.images.std()) - 1) < 1e-3
    assert abs(float(workload.test.images.mean())) > 1e-5


@pytest.mark.parametrize("input_", ["resident", "loader"])
def test_crops_reach_into_black(input_: str) -> None:
    """Padding comes before normalisation: the border is what a black pixel becomes."""
    train = opened(input_, recipe=Training(crop_padding=8)).train
    darkest = min(float(batch.inputs.min()) for batch in train.in_order())
    images = torch.cat([batch.inputs for batch in train.epoch(256, seed=0)])
    assert float(images.min()) == pytest.approx(darkest)
    is_blank = (images == images.min()).all(3)
    assert float(is_blank.float().mean()) > 0.4  # about half of every picture is border


@pytest.mark.parametrize("input_", ["resident", "loader"])
def test_cutout_blanks_with_the_mean(input_: str) -> None:
    train = opened(input_, recipe=Training(cutout=4)).train
    images = torch.cat([batch.inputs for batch in train.epoch(256, seed=0)])
    zeros = (images == 0).sum(dim=(1, 2, 3))
    assert set(zeros.tolist()) == {4, 6, 8, 9, 12, 16}  # whole, or cut off by the border


def test_two_epochs_at_once_are_refused_not_mixed() -> None:
    train = opened("loader", workers=1).train
    first = iter(train.epoch(100, seed=0))
    next(first)
    second = iter(train.epoch(100, seed=1))
    next(second)
    with pytest.raises(RuntimeError, match="another iteration"):
        list(first)


def test_large_sets_are_not_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.workloads.open.RESIDENT_BYTES", 1797 * 64 * 4)
    assert type(opened("auto").train).__name__ == "Resident"
    monkeypatch.setattr("harness.workloads.open.RESIDENT_BYTES", 1797 * 64 * 4 - 1)
    assert type(opened("auto").train).__name__ == "Loader"


def test_resized_crops_need_whole_pictures() -> None:
    recipe = Training(resized_crop=True)
    assert type(opened("auto", recipe=recipe).train).__name__ == "Loader"
    with pytest.raises(RunError, match=r"resized_crop.*workload\.input"):
        opened("resident", recipe=recipe)


def test_a_share_too_small_for_every_class_is_reported() -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small", validation_share=0.001)
    with pytest.raises(RunError, match=r"share of 0\.001.*validation_share"):
        open_workload(choice, RECIPE, torch.device("cpu"))


@pytest.mark.parametrize("input_", ["resident", "loader"])
def test_images_are_resized_and_repeated_where_the_model_wants_colour(
    input_: str, tmp_path: Path
) -> None:
    files.mnist(tmp_path)
    choice = WorkloadChoice(
        data="mnist",
        model="torchvision/resnet18",
        root=str(tmp_path),
        input=input_,
        workers=0,
        image_size=32,
        validation_share=0.5,
    )
    workload = open_workload(choice, RECIPE, torch.device("cpu"))
    for batch in (*workload.train.epoch(16, 0), *workload.test.in_order()):
        assert batch.inputs.shape[1:] == (3, 32, 32)
    images = workload.example[0]
    assert all(torch.allclose(one, other) for one, other in pairwise(images))
    assert workload.build_network(0)(workload.example.repeat(2, 1, 1, 1)).shape == (2, 10)


@pytest.mark.parametrize(("setting", "strided"), [(True, False), ("always", True)])
def test_channels_last_holds_on_a_cpu_where_it_is_asked_for(
    setting: str | bool, strided: bool
) -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small", image_size=16)
    recipe = RECIPE.model_copy(update={"channels_last": setting})
    workload = open_workload(choice, recipe, torch.device("cpu"))
    kernel = workload.build_network(0).get_parameter("3.weight")

    assert kernel.is_contiguous(memory_format=torch.channels_last) == strided
    assert workload.layout == (torch.channels_last if strided else torch.contiguous_format)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("input_", "workers"), [("resident", 0), ("loader", 2)])
def test_on_a_gpu_nothing_in_an_epoch_waits(input_: str, workers: int) -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small", input=input_, workers=workers)
    device = torch.device("cuda")
    train = open_workload(choice, RECIPE, device).train
    first = list(train.epoch(100, seed=3))
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = list(train.epoch(100, seed=3))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_equal(again, first)
    assert first[0].inputs.device.type == "cuda"
    assert first[0].inputs.is_contiguous(memory_format=torch.channels_last)
