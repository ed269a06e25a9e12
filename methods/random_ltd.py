"""Random layerwise token dropping, random-LTD (Yao et al., 2022, arXiv 2211.11586)."""

from harness import Budget, Count, DropTokens, Method, Phases, Ratio, Train


class RandomLTD(Method):
    """Let only some of the tokens pass the middle blocks of a transformer, at first.

    For each of these blocks other tokens of each sample are drawn; the first and the last block see
    all. How many pass grows in a straight line, until all do. Evaluation has all tokens.

    Deviation from the paper: its learning-rate schedule by tokens (LayerToken), which the authors'
    code in DeepSpeed does not have either, is left out.
    """

    first: Ratio = 0.25
    """Share of the tokens that pass at first."""
    until: Ratio = 0.67
    """Share of the budget after which all tokens pass."""
    increment: Count = 1
    """The number of tokens that pass is rounded down to a multiple of this (the code: 16)."""

    def phases(self, budget: Budget) -> Phases:
        skip = DropTokens(self.first, self.increment, self.until * budget.epochs)
        yield Train("train", epochs=budget.epochs, skip=skip)
