"""EarlyCroP, structured (Rachwan et al., "Winning the Lottery Ahead of Time", ICML 2022)."""

from harness import (
    Budget,
    ChannelPruningMethod,
    Count,
    Inspect,
    Moved,
    Phases,
    Ratio,
    Record,
    Shrink,
    Snapshot,
    Train,
    bn_channel_mask,
)


class EarlyCrop(ChannelPruningMethod):
    """Prune by the flow of gradients once the weights have settled: EarlyCroP-S.

    How far the weights have moved since the end of the first epoch is asked after each further one,
    as a share of their norm then. Once that grows in an epoch by less than `1 - prune_ratio - 0.1`
    of what it was after the second, training has entered the lazy regime, in which the tangent
    kernel stays, and the channels go whose removal would change the flow of gradients least. The
    rest of the budget trains what is left, with its weights and momentum.

    As in the official code. Deviations from it: the first and the last layer lose channels as all
    others do; there is a floor of channels and rounded widths; scores come from one larger batch in
    place of five; training continues along the schedule, where the code begins it again; and the
    search ends at `search_epochs`.
    """

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop. From 0.9 on weights never count as settled, as in the code."""
    samples: Count = 512
    """How many samples the score sees."""
    search_epochs: Count | None = None
    """Longest search. Default: half the budget."""

    def phases(self, budget: Budget) -> Phases:
        longest = min(self.search_epochs or max(budget.epochs // 2, 1), budget.epochs)
        yield Train("search", epochs=1)
        yield Snapshot("first epoch")
        moved: list[float] = []
        settled = False
        while len(moved) + 1 < longest and not settled:
            yield Train("search", epochs=1)
            moved.append((yield Moved("first epoch")))
            settled = has_settled(moved, self.prune_ratio)
        epoch = len(moved) + 1
        yield Record({"ticket_emerged": settled, "ticket_epoch": epoch})
        mask = bn_channel_mask(self.prune_ratio, self.min_channels, self.round_to, "gradient_flow")
        yield Shrink((yield Inspect(mask, samples=self.samples)))
        yield Train("retrain", epochs=budget.epochs - epoch)


def has_settled(moved: list[float], prune_ratio: float) -> bool:
    """Whether the latest growth of the distance is small beside the first distance."""
    last = moved[-2] if len(moved) > 1 else 0.0
    return abs(moved[-1] - last) < moved[0] * min(1 - prune_ratio - 0.1, 0.99)
