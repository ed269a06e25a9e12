"""RigL, the rigged lottery (Evci et al., ICML 2020, arXiv 1911.11134)."""

from harness import Budget, Count, Mask, Phases, PruneAtInit, Ratio, Rewire, Train, erdos_renyi


class Rigl(PruneAtInit):
    """Train a sparse network whose mask moves: drop small weights, grow where gradients are large.

    The mask is random at first, with Erdos-Renyi-Kernel densities; as in the official code on
    CIFAR-10 and ImageNet, the first layer stays dense and `sparsity` is that of all others. Every
    `every_steps` steps a share of the living weights, falling along a cosine, gives way to as many
    dead ones. Weights are masked: the network stays as large and as costly as before, and the
    operations that the paper counts as saved are carried out all the same.

    Deviations from the official code: the first rewiring is at step `every_steps`, not at the first
    step of all.
    """

    every_steps: Count = 100
    """Steps from one rewiring to the next (Delta T in the paper)."""
    fraction: Ratio = 0.3
    """Share of the living weights to move at first (alpha)."""
    until: Ratio = 0.75
    """Share of the budget after which the mask stands still (T_end)."""
    static: bool = False
    """Leave the mask where it was drawn: the paper's control "Static", random and sparse from
    scratch."""

    def mask(self) -> Mask:
        return Mask(erdos_renyi(1 - self.sparsity), self.sparsity, samples=1)

    def phases(self, budget: Budget) -> Phases:
        yield self.mask()
        rewire = Rewire(self.every_steps, self.fraction, self.until * budget.epochs)
        yield Train("train", epochs=budget.epochs, rewire=None if self.static else rewire)
