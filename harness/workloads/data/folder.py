"""Image folders: a folder a class, below `train` and below `test` or `val`.

The validation split is always cut from `train`. Where there is no `test`, `val` is the test set.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice
from harness.workloads.files import missing, root_of, test_folder
from harness.workloads.images import ImageFiles

_WORDNET_ID = re.compile(r"n\d{8}")


def folder(choice: WorkloadChoice) -> ImageFiles:
    """Pictures of `train/<class>/...` and `test/<class>/...`, or else `val/<class>/...`."""
    return _scan(choice)


def imagenet(choice: WorkloadChoice) -> ImageFiles:
    """ImageNet (Russakovsky et al., 2015): `train/<wnid>/...`; `val/<wnid>/...` is the test set.

    Any number of classes will do, such as the hundred of ImageNet-100, but their folders must be
    called by WordNet's numbers, as those of ImageNet are.
    """
    files = _scan(choice)
    for name in files.class_names:
        if not _WORDNET_ID.fullmatch(name):
            raise RunError(
                f"{root_of(choice) / 'train' / name}: not a class of ImageNet, whose folders are "
                "called like n01440764; for other images, set workload.data to 'folder'"
            )
    return files


def _scan(choice: WorkloadChoice) -> ImageFiles:
    problem = missing(choice)
    train, test = root_of(choice) / "train", test_folder(choice)
    if problem is not None or test is None:
        raise RunError(problem or f"{root_of(choice)}: no test images")
    names = _class_names(train)
    for name in _class_names(test):
        if name not in names:
            raise RunError(f"{train / name}: missing, though {test / name} is there; add the class")
    train_files, train_labels = _files(train, names)
    test_files, test_labels = _files(test, names)
    return ImageFiles(
        train_files,
        torch.tensor(train_labels),
        test_files,
        torch.tensor(test_labels),
        tuple(names),
    )


def _class_names(folder: Path) -> list[str]:
    """The folders in a folder, but for hidden ones."""
    return sorted(
        each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")
    )


def _files(folder: Path, names: list[str]) -> tuple[list[str], list[int]]:
    numbers = {name: number for number, name in enumerate(names)}
    samples = make_dataset(str(folder), numbers, IMG_EXTENSIONS, allow_empty=True)
    found = {label for _, label in samples}
    for name, number in numbers.items():
        if number not in found:
            what = "no picture in it" if (folder / name).is_dir() else "missing"
            raise RunError(
                f"{folder / name}: {what}; every class needs pictures ({', '.join(IMG_EXTENSIONS)})"
            )
    return [path for path, _ in samples], [label for _, label in samples]
