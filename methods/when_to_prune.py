"""The early pruning indicator of "When to Prune?" (Shen et al., CVPR 2022, arXiv 2110.12007)."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

from harness import (
    Budget,
    ChannelPruningMethod,
    Count,
    Inspect,
    Phases,
    Ratio,
    Record,
    Shrink,
    Train,
    bn_channel_mask,
)

THRESHOLDS = {"magnitude": 0.983, "taylor": 0.944}
"""The paper's, by the score that channels are ranked by."""
LOOK_BACK = 5
"""The indicator must not have been higher in this many epochs before."""


class WhenToPrune(ChannelPruningMethod):
    """Prune as soon as the widths of the network to be pruned to no longer change.

    Each epoch of the search asks for the mask that pruning now would have. The early pruning
    indicator is the mean similarity of its widths to those of the `window` epochs before; two lists
    of widths are as similar as 1 minus the mean over layers of |a - b| / (a + b). The network is
    pruned once the indicator is at least `threshold`, and no lower than in the five epochs before.
    Which channels stay may still change: Early-Bird asks for the same channels, this for the same
    widths. The rest of the budget trains what is left, with its weights and momentum.

    Deviations: channels are scored as everywhere in the harness, by the mean magnitude of the
    weights that make them or by first-order Taylor on one batch, where the paper accumulates
    scores over an epoch; they are removed at once, with a floor and rounded widths
    (`round_to = 1` is nearest to the paper), and at the end of `search_epochs` at the latest.
    """

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop."""
    score: Literal["magnitude", "taylor"] = "magnitude"
    """What channels are ranked by."""
    threshold: Ratio | None = None
    """Least indicator to prune at. Default: the paper's, 0.983 by magnitude, 0.944 by Taylor."""
    window: Count = 5
    """Epochs before to compare the widths with (r in the paper)."""
    samples: Count = 128
    """How many samples the score "taylor" sees."""
    search_epochs: Count | None = None
    """Longest search. Default: half the budget."""

    def phases(self, budget: Budget) -> Phases:
        longest = min(self.search_epochs or max(budget.epochs // 2, 1), budget.epochs)
        least = THRESHOLDS[self.score] if self.threshold is None else self.threshold
        history: deque[Mapping[str, int]] = deque(maxlen=self.window + 1)
        indicators: list[float] = []
        epoch, stable = 0, False
        while epoch < longest and not stable:
            epoch += 1
            yield Train("search", epochs=1)
            history.append((yield self._question(0, 1)).widths())
            if len(history) > self.window:
                indicators.append(indicator(history[-1], list(history)[:-1]))
                newest, before = indicators[-1], indicators[-1 - LOOK_BACK : -1]
                stable = newest >= max([least, *before])
        last = indicators[-1] if indicators else None
        yield Record({"ticket_emerged": stable, "ticket_epoch": epoch, "indicator": last})
        yield Shrink((yield self._question(self.min_channels, self.round_to)))
        yield Train("retrain", epochs=budget.epochs - epoch)

    def _question(self, min_channels: int, round_to: int) -> Inspect:
        mask = bn_channel_mask(self.prune_ratio, min_channels, round_to, self.score)
        return Inspect(mask, samples=self.samples if self.score == "taylor" else 1)


def indicator(newest: Mapping[str, int], before: Sequence[Mapping[str, int]]) -> float:
    """The early pruning indicator: mean similarity of the newest widths to earlier ones."""
    return sum(similarity(newest, each) for each in before) / len(before)


def similarity(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """From 0 to 1; layers that are empty in both are alike."""
    differences = [abs(a - other[name]) / max(a + other[name], 1) for name, a in one.items()]
    return 1 - sum(differences) / max(len(differences), 1)
