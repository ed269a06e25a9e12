"""Keeping GPUs busy: before a run, and in a known rhythm to see sensors respond.

As `python -m harness.training.gpu_load` it switches a load on every GPU on and off until standard
input closes, and prints the moment of each switch (monotonic clock, ns).
"""

from __future__ import annotations

import itertools
import select
import sys
import time
from collections.abc import Sequence

import torch

_SIZE = 4096
_SECONDS = (0.313, 0.237, 0.467, 0.173, 0.289, 0.411)
"""On, off, on, ...: in step with no sensor."""


def keep_busy(devices: Sequence[torch.device], seconds: float) -> None:
    """Multiply random matrices on each device; constant ones would draw less.

    The generators that training draws from are left alone.
    """
    factors = [_random(device) for device in devices]
    products = [torch.empty_like(factor) for factor in factors]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        # Always of the same factors: powers would overflow, and constants draw less again.
        for factor, product in zip(factors, products, strict=True):
            torch.matmul(factor, factor, out=product)
        for device in devices:
            torch.cuda.synchronize(device)


def _random(device: torch.device) -> torch.Tensor:
    draw = torch.Generator(device).manual_seed(0)
    return torch.randn(_SIZE, _SIZE, generator=draw, device=device)


def warm_up(device: torch.device, seconds: float) -> None:
    """Bring a GPU to working clocks and temperature; a CPU needs no warming."""
    if device.type == "cuda" and seconds:
        keep_busy([device], seconds)


def _switch() -> None:
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if not devices:
        sys.stdout.write("torch sees no GPU\n")
        return
    keep_busy(devices, 0.5)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    lengths = itertools.cycle(_SECONDS)
    while not _told_to_stop(0):
        sys.stdout.write(f"{time.monotonic_ns()}\n")
        keep_busy(devices, next(lengths))
        sys.stdout.write(f"{time.monotonic_ns()}\n")
        sys.stdout.flush()
        if _told_to_stop(next(lengths)):
            break


def _told_to_stop(wait_s: float) -> bool:
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


if __name__ == "__main__":
    _switch()
