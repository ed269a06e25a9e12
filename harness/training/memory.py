"""What to say when memory runs out: how many samples at a time would fit."""

from __future__ import annotations

import torch

from harness.settings.settings import Training
from harness.settings.types import Precision
from harness.training.precision import autocast, in_precision
from harness.training.state import TrainingState
from harness.training.step import mean_loss

_SIGNS = (
    "out of memory",
    "DefaultCPUAllocator",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
)
"""Of errors that have no type of their own: the driver's, its libraries', the CPU's."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or this machine, had no memory left."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in _SIGNS)


def fitting_part(
    state: TrainingState, precision: Precision | None, training: Training
) -> int | None:
    """The largest half, quarter, ... of a batch, or of its parts, that has memory to train on.

    The network is of no use afterwards. Tried uncompiled, since each size would be compiled again.

    Args:
        state: What ran out of memory.
        precision: What it trained in; None for the recipe's.
        training: The recipe.

    Returns:
        None if not even two samples fit.
    """
    samples = -(-training.batch_size // training.accumulate)
    while samples > 2:
        samples //= 2
        if _fits(state, precision or training.precision, training, samples):
            return samples
    return None


def _fits(state: TrainingState, precision: Precision, training: Training, samples: int) -> bool:
    state.optimizer.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        inputs, targets = state.resized(state.workload.train.sample(samples, seed=0))
        network = in_precision(state.network, precision).train()
        with autocast(precision, state.workload.device):
            loss = mean_loss(network(inputs), targets, state, training, samples)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
    except RuntimeError as error:
        if is_out_of_memory(error):
            return False
        raise
    return True
