"""The plainest pruning at initialisation, against which the others are measured."""

from harness import Mask, PruneAtInit, magnitude


class MagnitudeAtInit(PruneAtInit):
    """Mask the smallest weights before training.

    The score is |w| of the weights as drawn, the threshold global (Frankle et al., ICLR 2021,
    compare SNIP, GraSP and SynFlow with it). Weights are masked: the network stays as large and as
    costly as before.
    """

    def mask(self) -> Mask:
        return Mask(magnitude, self.sparsity, samples=1)
