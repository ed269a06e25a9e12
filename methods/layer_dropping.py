"""Progressive layer dropping (Zhang & He, NeurIPS 2020, arXiv 2010.13369)."""

from harness import Budget, DropLayers, Method, Phases, Positive, Ratio, Train


class LayerDropping(Method):
    """Leave out blocks of a transformer at random, later ones more often, and soon more of them.

    In each step block i of n is left out with a probability that rises with i and, soon after the
    start, to `(1 - keep) * i / n`. Evaluation has all blocks. Kaddour et al. ("No Train No Gain",
    NeurIPS 2023, arXiv 2307.06440) found its gain to vanish at equal budget; this follows their
    code, with the share of the budget for time. Blocks that stay are not scaled, as there.
    """

    keep: Ratio = 0.5
    """Probability that the last block stays (theta in the paper)."""
    steepness: Positive = 100.0
    """How fast the probabilities get there: after 1 / `steepness` of the budget about two thirds
    (gamma times the number of steps in the paper; "No Train No Gain": 100)."""

    def phases(self, budget: Budget) -> Phases:
        skip = DropLayers(self.keep, self.steepness, budget.epochs)
        yield Train("train", epochs=budget.epochs, skip=skip)
