"""The channel masks that a method looked at during a run, and the distances between them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.pruning.channel_mask import ChannelMask
from harness.results.journal import Journal
from harness.results.run_energy import Ledger
from harness.settings.run_spec import RunSpec


@dataclass(frozen=True)
class Look:
    """One look at a channel mask.

    Attributes:
        attempt: The attempt it happened in.
        time_ns: When, on the clock of the attempt.
        epochs_trained: How many epochs the network had trained.
        mask: What was seen.
    """

    attempt: int
    time_ns: int
    epochs_trained: int
    mask: ChannelMask


def looks(journal: Journal) -> list[Look]:
    """The masks that answered a method's most frequent question about one network.

    Masks of other questions, such as the one by which a ticket is shrunk in the end, are not
    comparable, nor are masks from before and after a removal. A mask that keeps every channel is
    left out: some methods ask regularly whether there is anything to remove.
    """
    epochs = 0
    series: dict[tuple[Any, ...], list[Look]] = defaultdict(list)
    for attempt, event in journal.kept_events("epoch", "answer"):
        if event["event"] == "epoch":
            epochs = int(event["epochs_trained"])
        elif isinstance(event["answer"], dict) and "channel_mask" in event["answer"]:
            layers = event["answer"]["channel_mask"]
            if not _is_mask(layers):
                continue
            mask = ChannelMask(layers)
            if mask.kept < mask.channels:
                question = json.dumps(event["description"].get("question"), sort_keys=True)
                network = tuple((name, len(bits)) for name, bits in mask.layers.items())
                look = Look(attempt.number, event["time_ns"], epochs, mask)
                series[question, network].append(look)
    return max(series.values(), key=len, default=[])


def _is_mask(layers: Any) -> bool:
    """Whether it is a well-formed mask: for every layer a text of 0 and 1."""
    return isinstance(layers, dict) and all(
        isinstance(bits, str) and not bits.strip("01") for bits in layers.values()
    )


def mask_distances(masks: Sequence[ChannelMask]) -> NDArray[np.float64]:
    """The mask distance between any two masks of one network, all at once.

    Returns:
        Shape (masks, masks): normalised Hamming distances, 0 to 1 (You et al., 2020, Fig. 4).
    """
    if not masks:
        return np.zeros((0, 0))
    bits = "".join(text for mask in masks for text in mask.layers.values())
    kept = np.frombuffer(bits.encode(), dtype=np.uint8).reshape(len(masks), masks[0].channels)
    ones = (kept == ord("1")).astype(np.float32)
    # Counts below 2^24 are exact in single precision, and one product is faster than many pairs.
    count = ones.sum(axis=1, dtype=np.float32)
    differing = count[:, None] + count[None, :] - 2 * (ones @ ones.T)
    found: NDArray[np.float64] = differing.astype(np.float64) / max(kept.shape[1], 1)
    return found


def ticket_rows(ledger: Ledger, spec: RunSpec) -> list[dict[str, Any]]:
    """One row per look: its distance to the one before, and the largest to all others of the FIFO.

    The FIFO is as long as the method's hyper-parameter `window` says (5 in You et al., 2020); the
    largest distance is missing until it is full, and for a method that has none.
    """
    found = looks(ledger.journal)
    if len(found) < 2:
        return []
    attempts = {attempt.number: attempt for attempt in ledger.journal.attempts}
    distances = mask_distances([look.mask for look in found])
    window = spec.hyperparameters.get("window")
    others = window - 1 if isinstance(window, int) else 0
    rows = []
    for order, look in enumerate(found):
        is_full = 0 < others <= order
        rows.append(
            {
                "order": order,
                "epochs_trained": look.epochs_trained,
                "energy_j": ledger.spent_until(attempts[look.attempt], look.time_ns),
                "kept": look.mask.kept / look.mask.channels,
                "distance": float(distances[order, order - 1]) if order else None,
                "largest_distance": (
                    float(distances[order, order - others : order].max()) if is_full else None
                ),
            }
        )
    return rows
