"""Learning-rate schedules: pure functions of the place on the schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.settings import Training


def rate_share(training: Training, epoch: float, horizon: float) -> float:
    """The learning rate as a share of the recipe's, after `epoch` of `horizon` epochs.

    `epoch` is fractional: the rate changes with every step. Warm-up is linear from zero; "step"
    multiplies by `decay` at each milestone (a share of the horizon); "cosine" falls to zero
    (Loshchilov & Hutter, 2017); "constant" stays.
    """
    if epoch < training.warmup_epochs:
        return epoch / training.warmup_epochs
    progress = min(epoch / horizon, 1.0)
    match training.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            return training.decay ** sum(progress >= share for share in training.milestones)
        case "constant":
            return 1.0
