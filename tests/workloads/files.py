"""Small data sets in the formats of the published ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def python2_pickle(key: str, labels: list[int], pixels: np.ndarray) -> bytes:
    """A CIFAR file opcode by opcode, as Python 2 and the numpy of its time wrote the real ones."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    shape = number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86"
    dtype_state = b"(K\x03" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R" + dtype_state
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    data = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    array += b"\x87R(K\x01" + shape + dtype + b"\x89" + data + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(key.encode()) + listed + b"u."


def cifar(root: Path, classes: int, each: int = 8) -> Path:
    """CIFAR-10 or CIFAR-100 with `each` images of a class a file; the folder of its files."""
    generator = np.random.default_rng(0)
    if classes == 10:
        folder, key = root / "cifar-10-batches-py", "labels"
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    else:
        folder, key, names = root / "cifar-100-python", "fine_labels", ["train", "test"]
    folder.mkdir(parents=True)
    labels = list(range(classes)) * each
    for name in names:
        pixels = generator.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        (folder / name).write_bytes(python2_pickle(key, labels, pixels))
    return folder


def idx(values: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    sizes = b"".join(struct.pack(">I", size) for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def mnist(root: Path, name: str = "MNIST", packed: bool = False, each: int = 8) -> Path:
    """MNIST or FashionMNIST with `each` images of a class; the folder of its files."""
    generator = np.random.default_rng(0)
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    labels = np.array(list(range(10)) * each)
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (len(labels), 28, 28))
        for stem, values in ((f"{part}-images-idx3", pixels), (f"{part}-labels-idx1", labels)):
            path = folder / f"{stem}-ubyte"
            if packed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                path.write_bytes(idx(values))
    return folder


def pictures(
    root: Path,
    classes: tuple[str, ...] = ("cat", "dog"),
    parts: tuple[str, ...] = ("train", "test"),
    each: int = 8,
    size: tuple[int, int] = (16, 16),
    ending: str = "png",
) -> Path:
    """A folder of pictures (width, height), each of one colour that differs from all others."""
    number = 0
    for part in parts:
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for _ in range(each):
                number += 1
                colour = (97 * number % 256, 40 * number % 256, 90 * number % 256)
                Image.new("RGB", size, colour).save(folder / f"{number:04}.{ending}")
    return root
