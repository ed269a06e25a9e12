"""Learning-rate schedules: pure functions of the place on the schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.settings import Training

_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START / 1e4


def rate_share(training: Training, epoch: float, horizon: float) -> float:
    """The learning rate as a share of the recipe's, after `epoch` of `horizon` epochs.

    `epoch` is fractional: the rate changes with every step. Warm-up is linear from zero; "step"
    multiplies by `decay` at each milestone (a share of the horizon); "cosine" falls to zero
    (Loshchilov & Hutter, 2017); "one_cycle" rises from a 25th to the full rate at `peak` and falls
    to nearly nothing, both along a cosine (Smith & Topin, 2018, with PyTorch's numbers);
    "constant" stays.
    """
    if epoch < training.warmup_epochs:
        return epoch / training.warmup_epochs
    progress = min(epoch / horizon, 1.0)
    match training.schedule:
        case "cosine":
            return _between(1.0, 0.0, progress)
        case "step":
            return training.decay ** sum(progress >= share for share in training.milestones)
        case "one_cycle" if progress < training.peak:
            return _between(_ONE_CYCLE_START, 1.0, progress / training.peak)
        case "one_cycle":
            return _between(1.0, _ONE_CYCLE_END, (progress - training.peak) / (1 - training.peak))
        case "constant":
            return 1.0


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
