"""The device that a run trains on, and its switches between speed and repeatability."""

from __future__ import annotations

import os

import torch


def open_device(*, deterministic: bool) -> torch.device:
    """The GPU if torch sees one, else the CPU; call it before anything else touches the GPU.

    Args:
        deterministic: Results repeat bit by bit; else the fastest convolutions are looked for.
    """
    # cuBLAS reads it when the first context is made.
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
