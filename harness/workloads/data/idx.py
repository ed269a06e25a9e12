"""The IDX format of MNIST: a magic number, the sizes, then bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.errors import RunError

_BYTES = 0x08


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The array of an IDX file of bytes, compressed or not, uint8.

    Raises:
        RunError: The file is damaged, or holds something else.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete it and fetch it again") from None
    start = 4 + 4 * dimensions
    sizes = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if data[:4] != bytes((0, 0, _BYTES, dimensions)) or len(data) != start + np.prod(sizes):
        raise RunError(
            f"{path}: not a whole IDX file of bytes in {dimensions} dimensions; delete it and "
            "fetch it again"
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(sizes).copy())
