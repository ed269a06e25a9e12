"""What `Train` can be asked to do besides: options that are more than a number."""

from __future__ import annotations

import math
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
class LayerRate:
    """A learning rate of a layer's own, in place of the recipe's schedule: a cosine to zero.

    Attributes:
        names: Names of parameters, or of modules with all that is in them.
        until_epoch: Place on the schedule at which the rate is zero; it stays so.
        scale: The rate at the schedule's beginning, as a share of the recipe's.
    """

    names: tuple[str, ...]
    until_epoch: float
    scale: float = 1.0

    def share(self, epoch: float) -> float:
        """The rate at a place on the schedule, as a share of the recipe's."""
        return self.scale * 0.5 * (1 + math.cos(math.pi * min(epoch / self.until_epoch, 1.0)))


@dataclass(frozen=True)
class DropLayers:
    """Blocks of a transformer that training steps leave out (Zhang & He, NeurIPS 2020).

    In each step a coin a block decides; block i of n is left out with the probability
    (1 - keep) * (1 - exp(-steepness * t)) * i / n, where t is the place on the schedule as a share
    of `until_epoch`. Blocks that stay are not scaled. Evaluation has all of them.

    Attributes:
        keep: With which probability the last block stays in the end.
        steepness: How fast that is reached.
        until_epoch: Of the schedule, in epochs.
    """

    keep: float
    steepness: float
    until_epoch: float

    def probability(self, epoch: float, block: int, blocks: int) -> float:
        """To leave out `block`, counted from 1."""
        risen = 1 - math.exp(-self.steepness * epoch / self.until_epoch)
        return (1 - self.keep) * risen * block / blocks


@dataclass(frozen=True)
class DropTokens:
    """Tokens that bypass the middle blocks of a transformer in training steps (Yao et al., 2022).

    In each block but the first and the last, other tokens of each sample are drawn; they pass the
    block in their order, and the rest goes around it. How many pass grows in a straight line until
    all do. Evaluation has all of them.

    Attributes:
        first: Share of the tokens that pass at first.
        increment: Their number is rounded down to a multiple of this.
        until_epoch: Place on the schedule from which all tokens pass.
    """

    first: float
    increment: int
    until_epoch: float

    def length(self, epoch: float, tokens: int) -> int:
        """How many of a number of tokens pass."""
        first = self.first * tokens
        passing = math.floor(epoch / self.until_epoch * (tokens - first) + first)
        return min(max(passing - passing % self.increment, self.increment), tokens)


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
