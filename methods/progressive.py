"""Progressive prune-and-train, as Network Slimming does it (Liu et al., ICCV 2017)."""

from typing import Literal

from harness import Budget, ChannelPruningMethod, Count, Phases, Ratio, Shrink, Train, Weight


class Progressive(ChannelPruningMethod):
    """Train the dense network to the end, prune channels, retrain; again for every round.

    Channels are ranked by |gamma| under an L1 penalty and really removed after each round. One
    round is Network Slimming, several its multi-pass scheme. Retraining is as long and begins at as
    high a learning rate as training did, as in the paper on CIFAR; a shorter `retrain_epochs`
    rewinds the rate to where they are left (Renda et al., ICLR 2020), and "finetune" continues at a
    low one (the paper on ImageNet). The penalty is on wherever another pruning follows.

    Deviations from the paper and its code: the ticket has a floor of channels and rounded widths
    (`round_to = 1` is the paper's; a layer without channels is no network); layers coupled by a
    residual connection lose the same channels, by their mean |gamma|, where the code selects
    channels in front of each block; momentum is kept through a pruning.
    """

    rounds: Count = 1
    """How often to prune and retrain."""
    prune_ratio: Ratio = 0.7
    """Share of the channels there are to drop in each round (the paper: 0.7 for VGG on CIFAR-10,
    0.5 on CIFAR-100, 0.4 and 0.6 for ResNets)."""
    retrain_epochs: Count | None = None
    """Epochs of retraining per round. Default: the whole budget, as in the paper."""
    retrain: Literal["rewind", "finetune"] = "rewind"
    """Rewind the learning rate to where `retrain_epochs` are left, or fine-tune at a low one."""
    finetune_rate: Ratio = 0.01
    """Learning rate of fine-tuning, as a share of the recipe's."""
    l1_gamma: Weight = 1e-4
    """Weight of the L1 penalty on BatchNorm scales (the paper: 1e-4 for VGG, 1e-5 for ResNets)."""

    def phases(self, budget: Budget) -> Phases:
        yield Train("train", epochs=budget.epochs, l1_gamma=self.l1_gamma)
        for number in range(1, self.rounds + 1):
            yield Shrink((yield self.ticket(self.prune_ratio)))
            penalty = self.l1_gamma if number < self.rounds else 0.0
            yield self._retraining(f"retrain {number}", budget, penalty)

    def _retraining(self, name: str, budget: Budget, penalty: float) -> Train:
        epochs = self.retrain_epochs or budget.epochs
        if self.retrain == "finetune":
            return Train(name, epochs=epochs, rate=self.finetune_rate, l1_gamma=penalty)
        start = max(budget.epochs - epochs, 0)
        horizon = max(budget.epochs, epochs)
        return Train(name, epochs=epochs, start_epoch=start, horizon=horizon, l1_gamma=penalty)
