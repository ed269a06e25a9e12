"""PruneTrain (Lym et al., SC 2019, arXiv 1901.09290)."""

from harness import (
    Budget,
    ChannelPruningMethod,
    Count,
    Inspect,
    Phases,
    Positive,
    Ratio,
    Shrink,
    Train,
    dead_channels,
    group_lasso_weight,
)

LOSS_SAMPLES = 128
"""On how many samples the loss is taken that weighs the penalty; a mini-batch, as in the paper."""


class PruneTrain(ChannelPruningMethod):
    """Drive channels to zero by group lasso from the first step, and remove them while training.

    The lasso runs over the input and output channels of convolutions and the inputs of linear
    layers, of hidden ones the outputs too where they can be removed (`workload.gates`), with one
    weight for all groups, set at the start so that the penalty is `lasso_ratio` of the total loss.
    Every `interval` epochs the channels whose weights are all under `threshold` are removed in
    memory; a channel goes only if every layer that makes or reads it can spare it (the paper's
    channel union). Nothing grows back.

    Deviations from the paper and its code: the batch size stays, where the paper raises it as the
    network shrinks; no layer is removed as a whole, since every group keeps a floor of channels and
    rounded widths (`min_channels = 1` and `round_to = 1` come nearest to the paper); weights under
    the threshold in channels that stay are not set to zero.
    """

    lasso_ratio: Ratio = 0.25
    """Share of the penalty in the total loss at the start (the paper's lasso penalty ratio; the
    official code's default is 0.1)."""
    interval: Count = 10
    """Epochs from one removal to the next."""
    threshold: Positive = 1e-4
    """Magnitude under which a weight counts as vanished."""

    def phases(self, budget: Budget) -> Phases:
        weight = yield Inspect(group_lasso_weight(self.lasso_ratio), samples=LOSS_SAMPLES)
        question = dead_channels(self.threshold, self.min_channels, self.round_to)
        for start in range(0, budget.epochs, self.interval):
            epochs = min(self.interval, budget.epochs - start)
            yield Train("train", epochs=epochs, group_lasso=weight)
            alive = yield Inspect(question)
            if alive.kept < alive.channels:
                yield Shrink(alive)
