"""Image folders: a folder a class, below `train` and below `test`, `val` or `valid`.

The validation split is always cut from `train`. Where there is no `test`, `val` or `valid` is the
test set.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice
from harness.workloads.files import (
    PICTURES,
    class_folders,
    missing,
    pictures_below,
    root_of,
    test_folder,
)
from harness.workloads.images import ImageFiles

_WORDNET_ID = re.compile(r"n\d{8}")


def folder(choice: WorkloadChoice) -> ImageFiles:
    """Pictures of `train/<class>/...` and of `test/<class>/...`, or else `val` or `valid`."""
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
    names = class_folders(train)
    for name in class_folders(test):
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


def _files(folder: Path, names: list[str]) -> tuple[list[str], list[int]]:
    files: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        found = list(pictures_below(folder / name))
        if not found:
            what = "no picture in it" if (folder / name).is_dir() else "missing"
            raise RunError(
                f"{folder / name}: {what}; every class needs pictures ({', '.join(PICTURES)})"
            )
        files += found
        labels += [number] * len(found)
    return files, labels
