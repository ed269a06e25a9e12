"""Where the files of a data set lie, and whether they are there; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.settings.settings import WorkloadChoice

ROOT = "data"
BY_HAND = ("imagenet", "folder")


@dataclass(frozen=True)
class ExpectedFiles:
    """The files of a data set that can be fetched, as torchvision lays them out.

    Attributes:
        folder: Within the root.
        train: Names of the files with training samples.
        test: Names of the files with test samples.
        packed: Whether a file may lie there compressed, as NAME.gz.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    packed: bool = False

    def find(self, root: Path, name: str) -> Path | None:
        """Path of the file `name`; None if it is missing."""
        plain = root / self.folder / name
        names = (plain, plain.with_name(f"{name}.gz")) if self.packed else (plain,)
        return next((path for path in names if path.is_file()), None)

    def absent(self, root: Path) -> list[str]:
        """The files that are not there."""
        return [name for name in (*self.train, *self.test) if self.find(root, name) is None]


_IDX = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
EXPECTED = {
    "mnist": ExpectedFiles("MNIST/raw", *_IDX, packed=True),
    "fashion_mnist": ExpectedFiles("FashionMNIST/raw", *_IDX, packed=True),
    "cifar10": ExpectedFiles(
        "cifar-10-batches-py", tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
    ),
    "cifar100": ExpectedFiles("cifar-100-python", ("train",), ("test",)),
}


def root_of(choice: WorkloadChoice) -> Path:
    """The folder that holds the data set."""
    return Path(choice.root or ROOT)


def test_folder(choice: WorkloadChoice) -> Path | None:
    """The folder of the test images; ImageNet's `test` has no labels, so `val` is the test set."""
    names = ("val",) if choice.data == "imagenet" else ("test", "val")
    folders = [root_of(choice) / name for name in names]
    return next((folder for folder in folders if folder.is_dir()), None)


def missing(choice: WorkloadChoice) -> str | None:
    """What is not there though it must be, and what to do about it; None if nothing is missing."""
    root = root_of(choice)
    if choice.data in BY_HAND:
        return _missing_folder(choice, root)
    if choice.data in EXPECTED and not choice.download:
        expected = EXPECTED[choice.data]
        absent = expected.absent(root)
        if absent:
            return (
                f"workload.root: no {choice.data} in {root.resolve()}: "
                f"{expected.folder}/{absent[0]} is not there; set workload.root to the "
                f"folder that holds {expected.folder}, or workload.download = true to fetch it"
            )
    return None


def check_data(choice: WorkloadChoice) -> None:
    """Find out before any run that a data set or a file of weights is not there.

    Raises:
        UsageError: Its files are obviously missing, or it cannot be fetched as asked for.
    """
    if choice.weights is not None and not Path(choice.weights).is_file():
        raise UsageError(f"workload.weights: {choice.weights}: there is no such file")
    if choice.download and choice.data in BY_HAND:
        raise UsageError(
            f"workload.download: '{choice.data}' cannot be fetched; put it into workload.root as "
            f"{_layout(choice)}"
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
        return "train/<wnid>/... and val/<wnid>/..."
    return "train/<class>/... and test/<class>/... (or val/<class>/...)"
