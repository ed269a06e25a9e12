"""Pictures one by one: decoded from files, or taken from memory, as PIL images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness.errors import RunError

THREADS = min(16, 2 * (os.cpu_count() or 1))
AT_ONCE = 64 * THREADS

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pictures(Protocol):
    """Pictures by number."""

    def __getitem__(self, number: int) -> Image.Image:
        """The picture of this number, decoded."""


class PicturesInMemory:
    """Pictures of tensors; pixels become 8-bit numbers if they are not.

    Args:
        parts: Tensors of shape (samples, 1 or 3 channels, height, width), numbered one after the
            other.
    """

    def __init__(self, *parts: Tensor) -> None:
        pixels = torch.cat([_as_bytes(part) for part in parts])
        self._pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()

    def __getitem__(self, number: int) -> Image.Image:
        pixels = self._pixels[number]
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


class PicturesInFiles:
    """Pictures of files, decoded when asked for."""

    def __init__(self, paths: list[str]) -> None:
        # One block of memory: of a list, reading alone makes every worker a copy of its own.
        self._paths = np.array([os.fsencode(path) for path in paths])

    def __getitem__(self, number: int) -> Image.Image:
        return open_picture(os.fsdecode(bytes(self._paths[number])))


def _as_bytes(images: Tensor) -> Tensor:
    return images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)


def open_picture(path: str) -> Image.Image:
    """A file's picture, in RGB.

    Raises:
        RunError: It cannot be read.
    """

    def decode(image: Image.Image) -> Image.Image:
        if image.mode.startswith(("I", "F")):
            raise ValueError("it has more than 8 bits a channel")
        return image.convert("RGB")

    return _with_file(path, decode)


def common_size(paths: list[str]) -> tuple[int, int]:
    """Height and width that all pictures have, by their files' headers.

    Raises:
        RunError: One differs, or cannot be read.
    """
    sizes = in_threads(size_of, paths)
    first = next(sizes)
    for path, size in zip(paths[1:], sizes, strict=True):
        if size != first:
            raise RunError(
                f"{path}: {size[1]} x {size[0]} pixels, where {paths[0]} has "
                f"{first[1]} x {first[0]}; set workload.image_size to bring all to one size"
            )
    return first


def size_of(path: str) -> tuple[int, int]:
    """Height and width of a file's picture, by its header."""
    return _with_file(path, lambda image: (image.height, image.width))


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of `items`; only some are waited for at a time, to save memory."""
    remaining = iter(items)
    with ThreadPoolExecutor(THREADS) as threads:
        while portion := list(islice(remaining, AT_ONCE)):
            yield from threads.map(work, portion)


def _with_file(path: str, work: Callable[[Image.Image], Result]) -> Result:
    try:
        with Image.open(path) as image:
            return work(image)
    except Exception as error:  # noqa: BLE001 - decoders raise whatever a damaged file leads to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(
            f"{path}: cannot be read as a picture ({reason}); replace or remove it"
        ) from None
