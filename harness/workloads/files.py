"""Where the files of a data set lie, and whether they are there; imports nothing heavy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.settings.settings import WorkloadChoice

ROOT = "data"
BY_HAND = ("imagenet", "folder")
PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Suffixes of pictures, as torchvision takes them; importing it for this would take seconds."""


@dataclass(frozen=True)
class ExpectedFiles:
    """The files of a data set that can be fetched, as torchvision lays them out.

    Attributes:
        folder: Within the root.
        train: Names of the files with training samples.
        test: Names of the files with test samples.
        packed: Whether a file may lie there compressed, as NAME.gz.
        package: The package of Debian and Ubuntu that brings the files, and the folder where it
            puts them, which is looked into next.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    packed: bool = False
    package: tuple[str, str] | None = None

    def find(self, root: Path, name: str) -> Path | None:
        """Path of the file `name`; None if it is missing."""
        folders = [root / self.folder, *([Path(self.package[1])] if self.package else [])]
        names = (name, f"{name}.gz") if self.packed else (name,)
        paths = [folder / each for folder in folders for each in names]
        return next((path for path in paths if path.is_file()), None)

    def absent(self, root: Path) -> list[str]:
        """The files that are not there."""
        return [name for name in (*self.train, *self.test) if self.find(root, name) is None]


_IDX = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
EXPECTED = {
    "mnist": ExpectedFiles("MNIST/raw", *_IDX, packed=True),
    "fashion_mnist": ExpectedFiles(
        "FashionMNIST/raw",
        *_IDX,
        packed=True,
        package=("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"),
    ),
    "cifar10": ExpectedFiles(
        "cifar-10-batches-py", tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
    ),
    "cifar100": ExpectedFiles("cifar-100-python", ("train",), ("test",)),
}


def root_of(choice: WorkloadChoice) -> Path:
    """The folder that holds the data set."""
    return Path(choice.root or ROOT)


def text_files(choice: WorkloadChoice) -> list[Path]:
    """The file that `root` is, or the .txt files below it in the order of their names."""
    root = root_of(choice)
    if root.is_file():
        return [root]
    found = (path for path in root.rglob("*.txt") if path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def test_folder(choice: WorkloadChoice) -> Path | None:
    """The folder of the test images; ImageNet's `test` has no labels, so `val` is the test set."""
    names = ("val", "valid") if choice.data == "imagenet" else ("test", "val", "valid")
    folders = [root_of(choice) / name for name in names]
    return next((folder for folder in folders if folder.is_dir()), None)


def walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, in order and along links, without hidden names.

    A link to a folder that the walk is in, or above it, is not followed: it would never end. Hidden
    are names that begin with a dot, such as the `._*` files that macOS leaves beside others.
    """
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _leads_back(Path(folder), Path(place, name))
        )
        yield place, folders, sorted(name for name in files if not name.startswith("."))


def _leads_back(start: Path, path: Path) -> bool:
    """Whether a link leads to one of the folders from `start` down to it, or above them."""
    if not path.is_symlink():
        return False
    target = path.resolve()
    within = [each.resolve() for each in path.parents if each.is_relative_to(start)]
    return any(place.is_relative_to(target) for place in within)


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, in order."""
    return next(walk(str(folder)), ("", [], []))[1]


def pictures_below(folder: Path) -> Iterator[str]:
    """Paths of the pictures in a folder and in those below it, in order."""
    for place, _, names in sorted(walk(str(folder))):
        yield from (f"{place}{os.sep}{name}" for name in names if _is_picture(name))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def left_out(choice: WorkloadChoice) -> list[str]:
    """What the folders of a data set hold that is not read, a sentence per folder."""
    if choice.data not in BY_HAND:
        return []
    sentences = []
    for part in (root_of(choice) / "train", test_folder(choice)):
        suffixes: Counter[str] = Counter()
        for place, _, names in walk(str(part)):
            if place == str(part):
                suffixes["beside the class folders"] = len(names)
            else:
                others = (name for name in names if not _is_picture(name))
                suffixes.update(Path(name).suffix.lower() or "without suffix" for name in others)
        listed = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common() if count)
        if listed:
            sentences.append(f"{part}: left out {listed}; pictures are {', '.join(PICTURES)}")
    return sentences


def missing(choice: WorkloadChoice) -> str | None:
    """What is not there though it must be, and what to do about it; None if nothing is missing."""
    root = root_of(choice)
    if choice.data in BY_HAND:
        return _missing_folder(choice, root)
    if choice.data in EXPECTED and not choice.download:
        expected = EXPECTED[choice.data]
        absent = expected.absent(root)
        if absent:
            package = expected.package
            hint = f", or install the package {package[0]} (Debian, Ubuntu)" if package else ""
            return (
                f"workload.root: no {choice.data} in {root.resolve()}: "
                f"{expected.folder}/{absent[0]} is not there; set workload.root to the "
                f"folder that holds {expected.folder}, or workload.download = true to fetch it"
                f"{hint}"
            )
    if choice.data == "text" and not text_files(choice):
        return (
            f"workload.root: no text in {root.resolve()}; set workload.root to a file, or to a "
            "folder with .txt files"
        )
    return None


def check_data(choice: WorkloadChoice) -> None:
    """Find out before any run that a data set or a file of weights is not there.

    Raises:
        UsageError: Its files are obviously missing, or it cannot be fetched as asked for.
    """
    if choice.weights is not None and not Path(choice.weights).is_file():
        raise UsageError(f"workload.weights: {choice.weights}: there is no such file")
    if choice.download and choice.data in (*BY_HAND, "text"):
        raise UsageError(
            f"workload.download: '{choice.data}' cannot be fetched; put it into workload.root"
            f"{'' if choice.data == 'text' else f' as {_layout(choice)}'}"
        )
    try:
        problem = missing(choice)
    except OSError as error:
        problem = f"workload.root: {error.filename}: {error.strerror}"
    if problem is not None:
        raise UsageError(problem)


def _missing_folder(choice: WorkloadChoice, root: Path) -> str | None:
    train, test = root / "train", test_folder(choice)
    if not train.is_dir():
        absent = "train"
    elif test is None:
        absent = "val" if choice.data == "imagenet" else "test"
    else:
        absent = next(
            (f"{each.name}/<class>" for each in (train, test) if not _has_folder(each)), ""
        )
    if not absent:
        return None
    return (
        f"workload.root: no image folders in {root.resolve()}: {absent} is not there; set "
        f"workload.root to the folder that holds {_layout(choice)}"
    )


def _has_folder(folder: Path) -> bool:
    return any(each.is_dir() for each in folder.iterdir())


def _layout(choice: WorkloadChoice) -> str:
    if choice.data == "imagenet":
        return "train/<wnid>/... and val/<wnid>/... (or valid/<wnid>/...)"
    return "train/<class>/... and test/<class>/... (or val/<class>/... or valid/<class>/...)"
