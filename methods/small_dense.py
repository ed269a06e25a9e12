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
    of every layer's; training is as long as dense's, or a share of it, annealed to its end. The
    weights are new, so where the channels stood cannot matter. Only this method's own joules count,
    as if the widths had been known. Swept over `share` and `length` it is the frontier of dense
    training: what a method costs is to be compared with the cheapest point of it that is as good.
    """

    of: str = "early_bird"
    """The method whose widths to take; it must remove channels, and be in the study. Of a swept one
    name the arm: `of = "early_bird prune_ratio=0.5"`."""
    share: Ratio | None = None
    """Share of the channels that every layer keeps, in place of a ticket's widths."""
    length: Ratio | None = None
    """Share of the budget to train, as `dense_short` does. Default: all of it."""

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
        if self.length is None:
            yield Train("train", epochs=budget.epochs)
        else:
            epochs = max(round(budget.epochs * self.length), 1)
            yield Train("train", epochs=epochs, horizon=epochs)
