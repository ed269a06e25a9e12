"""Which data a run sees: a hash that costs little, however large the data are.

Of files: every name, which has the class in it; every size, up to MAX_SIZES files, else of a
sample; and some blocks of the contents of a sample. Where files were last changed does not count,
nor where they are. Of tensors from another package: some blocks of pixels or tokens, and every
label.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.settings.settings import WorkloadChoice
from harness.workloads.files import (
    BY_HAND,
    EXPECTED,
    PICTURES,
    root_of,
    test_folder,
    text_files,
    walk,
)
from harness.workloads.python_docs import python_documentation

MAX_SIZES = 20_000
SAMPLE = 256
BLOCKS = 8
BLOCK_BYTES = 4096


def identity_of(choice: WorkloadChoice, loaded: Any = None) -> dict[str, Any]:
    """The hash of the data (`digest`), how many there are, and what was looked at (`by`).

    A file of first weights enters the hash, and has one of its own (`weights`).

    Args:
        choice: The data set, and the file of weights.
        loaded: The data, where another package gives them.

    Raises:
        OSError: They cannot be read.
    """
    found = _identity_of_data(choice, loaded)
    if choice.weights is None:
        return found
    with Path(choice.weights).open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    both = hashlib.sha256(f"{found['digest']} {weights}".encode()).hexdigest()[:16]
    return {**found, "digest": both, "weights": weights}


def _identity_of_data(choice: WorkloadChoice, loaded: Any) -> dict[str, Any]:
    if choice.data in BY_HAND:
        return _of_folders(root_of(choice) / "train", test_folder(choice))
    if choice.data in EXPECTED:
        expected, root = EXPECTED[choice.data], root_of(choice)
        names = [*expected.train, *expected.test]
        paths = [path for name in names if (path := expected.find(root, name))]
        return _identity([path.name for path in paths], [str(path) for path in paths], {})
    if choice.data == "text":
        texts = text_files(choice)
        return _identity([path.name for path in texts], [str(path) for path in texts], {})
    if choice.data == "python_docs":
        text = python_documentation()
        digest = hashlib.sha256(text).hexdigest()[:16]
        return {"digest": digest, "by": f"all {len(text)} bytes of this Python's documentation"}
    if loaded is None:
        return {"digest": f"{choice.data}", "by": "its name: it comes with a package"}
    return _of_loaded(loaded)


def _of_folders(train: Path, test: Path | None) -> dict[str, Any]:
    parts = {"train": train, "test": test}
    found = {part: _pictures(str(folder)) if folder else [] for part, folder in parts.items()}
    names = [f"{part}/{name}" for part, listed in found.items() for name in listed]
    paths = [f"{parts[part]}/{name}" for part, listed in found.items() for name in listed]
    return _identity(names, paths, {part: len(listed) for part, listed in found.items()})


def _pictures(folder: str) -> list[str]:
    """Names of the pictures below a folder, with their classes, in order."""
    found = []
    for place, _, files in walk(folder):
        if place == folder:  # pictures have a class
            continue
        within = place[len(folder) + 1 :].replace(os.sep, "/")
        found += [f"{within}/{name}" for name in files if name.lower().endswith(PICTURES)]
    return found


def _identity(names: Sequence[str], paths: Sequence[str], counts: dict[str, int]) -> dict[str, Any]:
    sizes = paths if len(paths) <= MAX_SIZES else _spread(paths)
    looked_at = _spread(paths)
    listed = "\n".join(names).encode(errors="surrogateescape")
    hasher = hashlib.sha256(listed)
    for path in sizes:
        hasher.update(f"\n{Path(path).stat().st_size}".encode())
    for path in looked_at:
        for block in _blocks(path):
            hasher.update(block)
    by = f"names of {len(names)} files, sizes of {len(sizes)}, blocks of {len(looked_at)}"
    return {"digest": hasher.hexdigest()[:16], **counts, "by": by}


def _spread(paths: Sequence[str]) -> Sequence[str]:
    """At most SAMPLE of them, evenly spread."""
    if len(paths) <= SAMPLE:
        return paths
    return [paths[number * len(paths) // SAMPLE] for number in range(SAMPLE)]


def _blocks(path: str) -> Iterator[bytes]:
    """Evenly spread blocks of a file, the first and the last among them."""
    last = max(0, Path(path).stat().st_size - BLOCK_BYTES)
    with Path(path).open("rb") as file:
        for start in sorted({last * number // (BLOCKS - 1) for number in range(BLOCKS)}):
            file.seek(start)
            yield file.read(BLOCK_BYTES)


def _of_loaded(loaded: Any) -> dict[str, Any]:
    """Of data from another package, which have been looked at."""
    if hasattr(loaded, "vocabulary"):
        return _of_tokens(loaded)
    if hasattr(loaded, "identity"):
        return _of_samples(loaded)
    labels = (loaded.train_labels, loaded.test_labels)
    counts = {"train": len(labels[0]), "test": len(labels[1])}
    hasher = hashlib.sha256(b"".join(part.numpy().tobytes() for part in labels))
    if hasattr(loaded, "train_files"):
        paths = [*loaded.train_files, *loaded.test_files]
        found = _identity([Path(path).name for path in paths], paths, counts)
        hasher.update(found["digest"].encode())
        return {**found, "digest": hasher.hexdigest()[:16]}
    looked_at = sum(
        _look_at(pixels, hasher) for pixels in (loaded.train_images, loaded.test_images)
    )
    by = f"every label, pixels of {looked_at} images"
    return {"digest": hasher.hexdigest()[:16], **counts, "by": by}


def _of_tokens(loaded: Any) -> dict[str, Any]:
    counts = {"train": len(loaded.train), "test": len(loaded.test)}
    hasher = hashlib.sha256(f"{loaded.vocabulary} {loaded.bytes_per_token} {counts}".encode())
    looked_at = 0
    for ids in (loaded.train, loaded.test):
        width = min(len(ids), BLOCK_BYTES)
        looked_at += width * _look_at(ids[: len(ids) // width * width].view(-1, width), hasher)
    return {"digest": hasher.hexdigest()[:16], **counts, "by": f"{looked_at} tokens"}


def _of_samples(loaded: Any) -> dict[str, Any]:
    counts = {"train": len(loaded.train), "test": len(loaded.test)}
    hasher = hashlib.sha256(f"{loaded.identity} {loaded.outputs} {counts}".encode())
    looked_at = ["what they say of themselves"] if loaded.identity else []
    if loaded.classes is not None:
        hasher.update(loaded.classes.numpy().tobytes())
        looked_at.append("every label")
    tensors = (each for part in (loaded.train, loaded.test) for each in _tensors(part))
    looked_at += [f"{_look_at(tensor, hasher)} rows" for tensor in tensors]
    by = ", ".join(["numbers of samples", *looked_at])
    return {"digest": hasher.hexdigest()[:16], **counts, "by": by}


def _tensors(data: Any) -> Sequence[Any]:
    """The tensors of a `TensorDataset`; none of any other."""
    return getattr(data, "tensors", ())


def _look_at(tensor: Any, hasher: Any) -> int:
    """Hash an evenly spread sample of a tensor's rows; how many."""
    hasher.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    sample = tensor[:: max(1, len(tensor) // SAMPLE)].contiguous()
    hasher.update(sample.numpy().tobytes())
    return len(sample)
