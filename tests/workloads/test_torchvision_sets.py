"""MNIST and CIFAR against small files in the original formats, whole and damaged."""

from __future__ import annotations

import gzip
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from harness.errors import RunError
from harness.settings.catalogue import DATA, resolve
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.data import torchvision_sets
from harness.workloads.data.plain_pickle import loads
from harness.workloads.images import Images
from harness.workloads.workload import open_workload
from tests.workloads import files


def load(data: str, root: Path, **changes: object) -> Images:
    choice = WorkloadChoice(data=data, model="vgg_small", root=str(root), **changes)
    images: Images = resolve(DATA[data])(choice)
    return images


@pytest.mark.parametrize(
    ("data", "classes", "count"), [("cifar10", 10, 400), ("cifar100", 100, 800)]
)
def test_cifar_is_read_as_torchvision_reads_it(
    data: str, classes: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.cifar(tmp_path, classes)
    ours = load(data, tmp_path)
    assert ours.classes == classes
    assert ours.train_images.shape == (count, 3, 32, 32)
    published = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    monkeypatch.setattr(published, "_check_integrity", lambda _: True)
    monkeypatch.setattr(published, "_load_meta", lambda _: None)
    for train, images, labels in (
        (True, ours.train_images, ours.train_labels),
        (False, ours.test_images, ours.test_labels),
    ):
        with warnings.catch_warnings(action="ignore"):  # numpy.core has moved; align is no bool
            theirs = published(tmp_path, train=train)
        assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), theirs.data)
        assert labels.tolist() == theirs.targets


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("data", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
)
def test_mnist_is_read_as_torchvision_reads_it(
    data: str, folder: str, packed: bool, tmp_path: Path
) -> None:
    files.mnist(tmp_path, folder, packed)
    ours = load(data, tmp_path)
    files.mnist(tmp_path / "plain", folder)
    published = datasets.MNIST if data == "mnist" else datasets.FashionMNIST
    for train, images, labels in (
        (True, ours.train_images, ours.train_labels),
        (False, ours.test_images, ours.test_labels),
    ):
        theirs = published(tmp_path / "plain", train=train)
        assert torch.equal(images[:, 0], theirs.data)
        assert torch.equal(labels, theirs.targets)


@pytest.mark.parametrize("input_", ["resident", "loader"])
def test_cifar_becomes_a_workload(input_: str, tmp_path: Path) -> None:
    files.cifar(tmp_path, 10)
    choice = WorkloadChoice(
        data="cifar10", model="vgg_small", root=str(tmp_path), input=input_, workers=0
    )
    workload = open_workload(choice, Training(crop_padding=4, flip=True), torch.device("cpu"))
    assert (len(workload.train), len(workload.validation), len(workload.test)) == (350, 50, 80)
    images = torch.cat([batch.inputs for batch in workload.train.in_order()])
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


class Trap:
    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self._target,)


def test_a_pickle_that_hides_code_is_refused(tmp_path: Path) -> None:
    folder = files.cifar(tmp_path, 10)
    trap = {"data": Trap(tmp_path / "sprung"), "labels": [0]}
    (folder / "data_batch_2").write_bytes(pickle.dumps(trap))
    with pytest.raises(RunError, match=r"data_batch_2: not a CIFAR file .*it asks for"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_unpickled_whatever_the_protocol(protocol: int) -> None:
    entry = {"data": np.arange(12, dtype=np.uint8).reshape(3, 4), "labels": [1, 2, 3]}
    read = loads(pickle.dumps(entry, protocol))
    assert np.array_equal(read["data"], entry["data"])
    assert read["labels"] == entry["labels"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def wrong_label(path: Path) -> None:
    pixels = np.zeros((8, 3072), np.uint8)
    path.write_bytes(files.python2_pickle("labels", [0, 1, 2, 3, 4, 5, 6, 10], pixels))


def one_label_less(path: Path) -> None:
    path.write_bytes(files.python2_pickle("labels", [0], np.zeros((2, 3072), np.uint8)))


def wrong_shape(path: Path) -> None:
    path.write_bytes(files.python2_pickle("labels", [0, 1], np.zeros((2, 3000), np.uint8)))


def published_size(path: Path) -> None:
    labels = [*range(10)] * 1000
    path.write_bytes(files.python2_pickle("labels", labels, np.zeros((10_000, 3072), np.uint8)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "not a CIFAR file"),
        (Path.unlink, "is not there"),
        (wrong_label, "labels from 0 to 10, where there are 10"),
        (one_label_less, "1 labels for 2 images"),
        (wrong_shape, "not a CIFAR file"),
        (published_size, "as large as the published file but not equal"),
    ],
)
def test_a_damaged_cifar_file_is_named(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    damage(files.cifar(tmp_path, 10) / "data_batch_3")
    with pytest.raises(RunError, match=rf"data_batch_3.*{message}"):
        load("cifar10", tmp_path)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    folder = files.cifar(tmp_path, 10)
    labels = [0, 1, 2, 3, 4, 5, 6, 7, 9]
    pixels = np.zeros((len(labels), 3072), np.uint8)
    (folder / "test_batch").write_bytes(files.python2_pickle("labels", labels, pixels))
    with pytest.raises(RunError, match=r"cifar-10-batches-py: no test image of class 8"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_idx_file_is_named(name: str, packed: bool, tmp_path: Path) -> None:
    path = files.mnist(tmp_path, packed=packed) / (f"{name}.gz" if packed else name)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunError, match=rf"{name}.*(cannot be read|not a whole IDX file)"):
        load("mnist", tmp_path)


def test_an_idx_file_of_something_else_is_named(tmp_path: Path) -> None:
    folder = files.mnist(tmp_path, packed=True)
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(files.idx(np.zeros((4, 2)))))
    with pytest.raises(RunError, match=r"train-labels.*not a whole IDX file of bytes in 1 dim"):
        load("mnist", tmp_path)


def test_nothing_is_fetched_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, bool]] = []

    def fetch(root: Path, download: bool) -> None:
        asked.append((root, download))
        raise RuntimeError("no network")

    monkeypatch.setitem(torchvision_sets._FETCHERS, "cifar10", fetch)
    with pytest.raises(RunError, match=r"workload\.download = true to fetch it"):
        load("cifar10", tmp_path)
    assert asked == []
    with pytest.raises(RunError, match=r"cifar10 could not be fetched into .* \(no network\)"):
        load("cifar10", tmp_path, download=True)
    assert asked == [(tmp_path, True)]
