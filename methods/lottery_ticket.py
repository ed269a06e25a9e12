"""Lottery tickets by iterative magnitude pruning with rewinding (Frankle et al., ICML 2020)."""

import math
from typing import Annotated

from pydantic import Field

from harness import (
    Budget,
    ChannelPruningMethod,
    Count,
    Mask,
    Phases,
    Ratio,
    Rewind,
    Shrink,
    Snapshot,
    SnapshotAt,
    Train,
    Weight,
    magnitude,
)


class LotteryTicket(ChannelPruningMethod):
    """Train to the end, prune, rewind to an early epoch, train again: N rounds are N + 1 trainings.

    Unstructured by default: the smallest of all prunable weights, by one global threshold, are
    masked and held at zero; the network stays as large and as costly as before, as its parameters
    and MACs show. One round with `fraction` at the sparsity wanted is the one-shot ticket.
    `rewind_epoch = 0` is the original lottery ticket (Frankle & Carbin, ICLR 2019).
    Structured tickets (channels by |gamma|, trained under the L1 penalty, as Early-Bird draws them
    but after a full training) shrink.

    Deviations from the papers and their code (open_lth): rewinding restores the momentum too, and
    the samples that come after it are drawn again; the output layer is pruned like all others, as
    open_lth does in its ResNets, where it leaves that of its VGGs and of LeNet dense.
    """

    rounds: Count = 3
    """How often to prune and rewind."""
    fraction: Ratio = 0.2
    """Share of the remaining weights (or channels) to drop in each round (the paper: 0.2)."""
    rewind_epoch: Annotated[int, Field(ge=0)] = 1
    """The early epoch to rewind to."""
    rewind_steps: Annotated[int, Field(ge=0)] | None = None
    """The early step to rewind to, in place of an epoch (the paper: 500 to 2000 on CIFAR-10)."""
    structured: bool = False
    """Draw tickets of channels and shrink, in place of masks on weights."""
    l1_gamma: Weight = 1e-4
    """Weight of the L1 penalty on BatchNorm scales before structured pruning; else unused."""

    def phases(self, budget: Budget) -> Phases:
        penalty = self.l1_gamma if self.structured else 0.0
        if self.rewind_steps is None:
            early = min(self.rewind_epoch, budget.epochs)
            yield Train("level 0", epochs=early, l1_gamma=penalty)
            yield Snapshot("early")
            yield Train("level 0", epochs=budget.epochs - early, l1_gamma=penalty)
        else:
            at = SnapshotAt("early", self.rewind_steps)
            yield Train("level 0", epochs=budget.epochs, l1_gamma=penalty, snapshot=at)
        for level in range(1, self.rounds + 1):
            if self.structured:
                yield Shrink((yield self.ticket(self.fraction)))
            else:
                yield Mask(magnitude, self.fraction)
            place = yield Rewind("early")
            if self.rewind_steps is not None:
                early = math.floor(place)
            yield Train(f"level {level}", epochs=budget.epochs - early, l1_gamma=penalty)
