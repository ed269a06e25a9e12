"""The control of Early-Bird's mask distance: prune at an early epoch that is fixed before."""

from harness import Budget, ChannelPruningMethod, Count, Phases, Ratio, Shrink, Train, Weight


class FixedEpochPrune(ChannelPruningMethod):
    """Prune like Early-Bird, but at a fixed early epoch, whatever the mask does.

    What Early-Bird gains over it, at the same epoch or at a guess of it, is what its criterion is
    worth.
    """

    epoch: Count | None = None
    """Epoch after which to prune. Default: a tenth of the budget."""
    prune_ratio: Ratio = 0.5
    """Share of the channels to drop."""
    l1_gamma: Weight = 1e-4
    """Weight of the L1 penalty on BatchNorm scales, before and after."""

    def phases(self, budget: Budget) -> Phases:
        epoch = min(self.epoch or max(round(budget.epochs / 10), 1), budget.epochs)
        yield Train("search", epochs=epoch, l1_gamma=self.l1_gamma)
        yield Shrink((yield self.ticket(self.prune_ratio)))
        yield Train("retrain", epochs=budget.epochs - epoch, l1_gamma=self.l1_gamma)
