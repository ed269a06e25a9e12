"""Early-Bird tickets (You et al., ICLR 2020, arXiv 1909.11957)."""

from collections import deque
from collections.abc import Generator
from typing import Literal

from harness import (
    Budget,
    ChannelMask,
    ChannelPruningMethod,
    Count,
    Inspect,
    Phases,
    Precision,
    Ratio,
    Record,
    Reinitialise,
    Shrink,
    Train,
    Weight,
    bn_channel_mask,
)


class EarlyBird(ChannelPruningMethod):
    """Draw the ticket as soon as its channel mask stops moving, then train only the ticket.

    Each epoch of the search asks for the paper's channel mask; the ticket is drawn when the newest
    mask is within `max_distance` of all others in a FIFO of `window` masks. The ticket is shrunk in
    memory and trained for the rest of the budget, with the surviving weights and momentum (EB in
    the paper), or with new weights for the whole budget (`reinit`: EB re-init). 8 bits in the
    search alone are the paper's EB LF, in all of training EB LL.

    Deviations from the paper and its code: the search really ends when the ticket emerges, and at
    `search_epochs` at the latest; the ticket has a floor of channels and rounded widths
    (`round_to = 1` is the paper's; a layer without channels is no network); layers coupled by a
    residual connection lose the same channels, by their mean |gamma|, where the code prunes no
    shortcut; weights and momentum of the ticket are really kept; 8 bits leave out SWALP's average
    of weights.

    On transformers, where heads and hidden neurons have gates, it is EarlyBERT (Chen et al., ACL
    2021), which ranks heads within a layer and drops 40 % of the neurons (`heads_by_layer`,
    `neuron_ratio`), draws the ticket at a fixed early step, and trains it without the penalty.
    """

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop (the paper: 0.3, 0.5, 0.7)."""
    max_distance: Ratio = 0.1
    """Mask distance up to which a mask counts as the same (epsilon in the paper)."""
    window: Count = 5
    """Length of the FIFO of masks."""
    l1_gamma: Weight = 1e-4
    """Weight of the L1 penalty on BatchNorm scales, in search and retraining (s in the paper)."""
    search_epochs: Count | None = None
    """Longest search; at its end the newest mask is taken. Default: half the budget."""
    reinit: bool = False
    """Re-initialise the ticket's weights and train it for the whole budget."""
    neuron_ratio: Ratio | None = None
    """Share of the hidden neurons of transformers to drop, where it is not `prune_ratio`
    (EarlyBERT: 0.4)."""
    heads_by_layer: bool = False
    """Rank heads within each layer, in place of all together (EarlyBERT does)."""
    low_precision: Literal["none", "search", "all"] = "none"
    """Where to train in the precision `low`: nowhere, in the search, or in retraining too."""
    low: Precision = "int8_simulated"
    """The low precision. The paper's 8 bits are simulated and cost energy; "bf16" and "fp8" save it
    on a GPU."""

    def phases(self, budget: Budget) -> Phases:
        in_search = None if self.low_precision == "none" else self.low
        in_retraining = self.low if self.low_precision == "all" else None
        masks: deque[ChannelMask] = deque(maxlen=self.window)
        longest = min(self.search_epochs or max(budget.epochs // 2, 1), budget.epochs)
        emerged = False
        epoch = 0
        while epoch < longest and not emerged:
            epoch += 1
            yield Train("search", epochs=1, l1_gamma=self.l1_gamma, precision=in_search)
            masks.append((yield Inspect(self._mask())))
            emerged = len(masks) == self.window and self._is_stable(masks)
        yield Record({"ticket_emerged": emerged, "ticket_epoch": epoch})
        yield Shrink((yield from self.drawn()))
        if self.reinit:
            yield Reinitialise()
        rest = budget.epochs if self.reinit else budget.epochs - epoch
        yield Train("retrain", epochs=rest, l1_gamma=self.l1_gamma, precision=in_retraining)

    def drawn(self) -> Generator[Inspect, ChannelMask, ChannelMask]:
        """Ask for the mask to shrink by, once the search is over."""
        return (yield Inspect(self._mask(self.min_channels, self.round_to)))

    def _mask(self, min_channels: int = 0, round_to: int = 1) -> bn_channel_mask:
        return bn_channel_mask(
            self.prune_ratio,
            min_channels,
            round_to,
            neuron_ratio=self.neuron_ratio,
            heads_by_layer=self.heads_by_layer,
        )

    def _is_stable(self, masks: deque[ChannelMask]) -> bool:
        newest = masks[-1]
        return all(newest.distance(earlier) <= self.max_distance for earlier in masks)
