"""The control of structured pruning: a small network from scratch (Liu et al., ICLR 2019)."""

from harness import (
    Budget,
    Inspect,
    Method,
    Phases,
    Ratio,
    Recall,
    Reinitialise,
    RunError,
    Shrink,
    Train,
    uniform_channels,
)


class SmallDense(Method):
    """Train a network of a ticket's widths, or of a share of all widths, from scratch.

    The widths are those that another method's run with the same seed ended with, or the same share
    of every layer's; training is as long as dense's. The weights are new, so where the channels
    stood cannot matter. Only this method's own joules count, as if the widths had been known.
    """

    of: str = "early_bird"
    """The method whose widths to take; it must remove channels, and be in the study. Of a swept one
    name the arm: `of = "early_bird prune_ratio=0.5"`."""
    share: Ratio | None = None
    """Share of the channels that every layer keeps, in place of a ticket's widths."""

    def relies_on(self) -> tuple[str, ...]:
        return (self.of,) if self.share is None else ()

    def phases(self, budget: Budget) -> Phases:
        if self.share is not None:
            ticket = yield Inspect(uniform_channels(self.share))
        else:
            ticket = (yield Recall(self.of)).ticket
        if ticket is None:
            raise RunError(f"{self.of} removed no channels, so there are no widths to take over")
        yield Shrink(ticket)
        yield Reinitialise()
        yield Train("train", epochs=budget.epochs)
