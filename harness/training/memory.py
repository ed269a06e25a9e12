"""What to say when memory runs out: the batch size that would fit."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from harness.training.state import TrainingState


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or this machine, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def fitting_batch_size(state: TrainingState, batch_size: int) -> int | None:
    """The largest half, quarter, ... of `batch_size` for which one training step has memory.

    The network's gradients and statistics are of no use afterwards. None: not even two samples fit.
    """
    while batch_size > 2:
        batch_size //= 2
        if _fits(state, batch_size):
            return batch_size
    return None


def _fits(state: TrainingState, batch_size: int) -> bool:
    state.optimizer.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        batch = state.workload.train.sample(batch_size, seed=0)
        F.cross_entropy(state.network.train()(batch.images), batch.labels).backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if is_out_of_memory(error):
            return False
        raise
    return True
