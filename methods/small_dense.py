"""The control of structured pruning: a small network from scratch (Liu et al., ICLR 2019)."""

from harness import Budget, Method, Phases, Recall, Reinitialise, RunError, Shrink, Train


class SmallDense(Method):
    """Train a network of a ticket's widths from scratch, for the whole budget.

    The widths are those that another method's run with the same seed ended with. The weights are
    new, so where the channels stood cannot matter. Only this method's own joules count, as if the
    widths had been known.
    """

    of: str = "early_bird"
    """The method whose widths to take; it must remove channels, and be in the study."""

    def relies_on(self) -> tuple[str, ...]:
        return (self.of,)

    def phases(self, budget: Budget) -> Phases:
        ticket = (yield Recall(self.of)).ticket
        if ticket is None:
            raise RunError(f"{self.of} removed no channels, so there are no widths to take over")
        yield Shrink(ticket)
        yield Reinitialise()
        yield Train("train", epochs=budget.epochs)
