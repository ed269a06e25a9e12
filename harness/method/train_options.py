"""What `Train` can be asked to do besides: options that are more than a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rewire:
    """Dynamic sparse training within `Train` (RigL, Evci et al., ICML 2020).

    Every `every_steps` steps, in place of the optimizer's step, each masked tensor drops the share
    `fraction` of its living weights that are smallest, and grows as many dead ones where the dense
    gradient is largest; grown weights begin at zero. The share falls to zero along a cosine.

    Attributes:
        every_steps: Steps between two rewirings (Delta T in the paper).
        fraction: Share of the living weights to move at first (alpha).
        until_epoch: Place on the schedule from which the mask stands still (T_end).
    """

    every_steps: int
    fraction: float
    until_epoch: float


@dataclass(frozen=True)
class SnapshotAt:
    """A snapshot within `Train`, for `Rewind` to a step (Frankle et al., ICML 2020).

    Attributes:
        name: What `Rewind` calls it.
        step: After how many steps of the phase it is taken; 0 before the first. Where the phase
            begins within an epoch, after a `Rewind` to a step, that epoch's earlier steps count.
    """

    name: str
    step: int


@dataclass(frozen=True)
class Select:
    """Choice of the samples to train on, and of how much each counts.

    The latest loss of every sample is kept beside the network, and in checkpoints. Whatever
    choosing costs is in the energy window of its phase.

    Attributes:
        rule: A pure function `rule(losses, batches, generator) -> weights`. `losses` has the latest
            loss of each training sample, shape (samples,), float32 on the CPU, nan where it was
            never seen; `batches` the numbers of the samples of each batch to come, in order. It
            answers with a weight for each training sample, likewise: a sample of weight 0 is left
            out, the loss of any other is multiplied by its weight. Random numbers come from
            `generator` (a `torch.Generator`), which follows from the run's seed.
        looks: Ask before each batch, once a forward pass in evaluation mode has found its losses;
            what is kept is gathered until it makes a full batch. Otherwise ask once before each
            epoch; what is left out is then not even read, and costs nothing.
    """

    rule: Callable[[Any, Any, Any], Any]
    looks: bool = False
