"""A missing data set is found before any run, without importing anything heavy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings.settings import WorkloadChoice
from harness.workloads.data.torchvision_sets import fashion_mnist
from harness.workloads.files import EXPECTED, check_data
from tests.workloads import files


@pytest.fixture(autouse=True)
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a package puts Fashion-MNIST, whatever is installed here."""
    folder = tmp_path / "usr/share"
    package = ("dataset-fashion-mnist", str(folder))
    expected = replace(EXPECTED["fashion_mnist"], package=package)
    monkeypatch.setitem(EXPECTED, "fashion_mnist", expected)
    return folder


def check(data: str, root: Path | None, download: bool = False) -> None:
    check_data(
        WorkloadChoice(data=data, model="vgg_small", root=root and str(root), download=download)
    )


def test_what_is_there_passes(tmp_path: Path) -> None:
    files.cifar(tmp_path, 10)
    files.cifar(tmp_path, 100)
    files.mnist(tmp_path)
    files.mnist(tmp_path, "FashionMNIST", packed=True)
    files.pictures(tmp_path, parts=("train", "val"))
    for data in ("cifar10", "cifar100", "mnist", "fashion_mnist", "folder", "imagenet", "digits"):
        check(data, tmp_path)


@pytest.mark.parametrize(
    ("data", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar100", "cifar-100-python/train"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte"),
    ],
)
def test_what_is_missing_is_reported_unless_it_will_be_fetched(
    data: str, file: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        check(data, tmp_path / "nowhere")
    for part in (str(tmp_path / "nowhere"), file, "workload.root", "workload.download = true"):
        assert part in str(caught.value)
    check(data, tmp_path / "nowhere", download=True)


def test_fashion_mnist_is_found_where_its_package_puts_it(tmp_path: Path, packaged: Path) -> None:
    with pytest.raises(UsageError, match=r"or install the package dataset-fashion-mnist"):
        check("fashion_mnist", None)
    files.mnist(tmp_path, "FashionMNIST", packed=True)
    packaged.parent.mkdir()
    (tmp_path / "FashionMNIST/raw").rename(packaged)
    check("fashion_mnist", None)
    choice = WorkloadChoice(
        data="fashion_mnist", model="vgg_small", root=str(tmp_path / "none"), validation_share=0.5
    )
    assert len(fashion_mnist(choice).test_labels) > 0


def test_a_single_missing_file_is_named(tmp_path: Path) -> None:
    folder = files.cifar(tmp_path, 10)
    (folder / "data_batch_4").unlink()
    with pytest.raises(UsageError, match=r"cifar-10-batches-py/data_batch_4 is not there"):
        check("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("data", "folders", "absent"),
    [
        ("folder", (), "train"),
        ("folder", ("train/cat",), "test"),
        ("folder", ("train", "test/cat"), "train/<class>"),
        ("folder", ("train/cat", "test"), "test/<class>"),
        ("imagenet", ("train/n01440764", "test/n01440764"), "val"),
    ],
)
def test_folders_must_have_classes_for_training_and_test(
    data: str, folders: tuple[str, ...], absent: str, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(UsageError, match=rf"workload\.root: .*: {absent} is not there.*train/<"):
        check(data, tmp_path)


@pytest.mark.parametrize("data", ["imagenet", "folder"])
def test_what_cannot_be_fetched_is_reported(data: str, tmp_path: Path) -> None:
    files.pictures(tmp_path)
    with pytest.raises(UsageError, match=rf"workload\.download: '{data}' cannot be fetched"):
        check(data, tmp_path, download=True)


def test_without_a_root_the_folder_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=str(tmp_path / "data")):
        check("mnist", None)
    files.mnist(tmp_path / "data")
    check("mnist", None)


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, harness.workloads.files; print({'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
