"""Prune once, at a share of the budget that is a hyper-parameter."""

from harness import ChannelPruningMethod, Phases, Ratio, Shrink, Train
from harness.method.phases import Budget


class PruneOnce(ChannelPruningMethod):
    """Train for a share of the budget, shrink the network, train for the rest."""

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop."""
    at: Ratio = 0.25
    """When, as a share of the budget."""

    def phases(self, budget: Budget) -> Phases:
        """Search, shrink, retrain."""
        search = max(1, round(budget.epochs * self.at))
        yield Train("search", epochs=search, l1_gamma=1e-4)
        yield Shrink((yield self.ticket(self.prune_ratio)))
        yield Train("retrain", epochs=budget.epochs - search)
