"""What a method is: typed hyper-parameters and a generator of phases."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.method.phases import Budget, Inspect, Mask, Phase, Train
from harness.pruning.questions import bn_channel_mask
from harness.settings.types import Count, Ratio

Phases = Generator[Phase, Any, None]


class Method(BaseModel):
    """A way of training. A subclass with `phases` is a method; its fields are hyper-parameters.

    The method's name is the class name in snake case. A field's docstring is its help text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def method_name(cls) -> str:
        """The name used in studies, tables and on the command line."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def phases(self, budget: Budget) -> Phases:
        """Yield phases, receive their answers; ends when the method is done.

        Args:
            budget: What the study grants every method.
        """
        raise NotImplementedError(f"{type(self).__name__} has no phases")

    def relies_on(self) -> tuple[str, ...]:
        """Arms that must have a finished run with the same seed before, for `Recall`.

        A method's name, with KEY=VALUE words where the study has several of it.
        """
        return ()


class ChannelPruningMethod(Method):
    """The base of methods that draw channel masks by |gamma| and shrink the network."""

    min_channels: Count = 8
    """Floor of channels that every layer keeps, so that no layer dies (or all, if it has fewer)."""
    round_to: Count = 8
    """Widths are rounded up to a multiple of this, which hardware runs faster (the paper: 1)."""

    def ticket(self, prune_ratio: float) -> Inspect:
        """The question for the mask to shrink by: the paper's mask with floor and rounding."""
        return Inspect(bn_channel_mask(prune_ratio, self.min_channels, self.round_to))


class PruneAtInit(Method):
    """The base of methods that mask weights once, before training; nothing gets smaller."""

    sparsity: Ratio = 0.9
    """Share of the prunable weights to hold at zero."""

    def mask(self) -> Mask:
        """Which weights to hold at zero, by which score."""
        raise NotImplementedError(f"{type(self).__name__} has no mask")

    def phases(self, budget: Budget) -> Phases:
        """Mask, then train for the whole budget."""
        yield self.mask()
        yield Train("train", epochs=budget.epochs)
