"""Energy windows of a plain PyTorch training loop, hooked to its optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from harness.api import measure

_OPEN = "steps"


@contextmanager
def steps_measured(optimizer: Optimizer, energy: measure, every: int = 100) -> Iterator[None]:
    """Open a window for every `every` steps of an optimizer, without a change of the loop.

        with harness.measure() as energy, steps_measured(optimizer, energy, every=50):
            train()
        energy.windows["steps 1-50"].joules.energy_j

    Each window waits for the GPU at its end, which costs a loop some microseconds; the last one
    holds the remaining steps.

    Args:
        optimizer: Of the loop; its step hook counts (torch.optim.Optimizer, "step post hook").
        energy: An open measurement.
        every: Steps per window. Sensors are updated ten to fifty times a second: make it last a
            second or longer.
    """
    first = done = 0

    def after_step(_optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        nonlocal first, done
        done += 1
        if done - first == every:
            energy.end(_OPEN, f"steps {first + 1}-{done}")
            energy.begin(_OPEN)
            first = done

    energy.begin(_OPEN)
    hook = optimizer.register_step_post_hook(after_step)
    try:
        yield
    finally:
        hook.remove()
        energy.end(_OPEN, f"steps {first + 1}-{done}" if done > first else "after the last step")
