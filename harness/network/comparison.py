"""An exported network beside the trained one, on the same samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from harness.network.formats.base import Infer
from harness.network.samples import Samples

MAX_DIFFERENCE = 1e-4
"""Of an output, or relative to the largest one where that is above 1: float32 has seven digits, and
the order of sums differs."""
MIN_EQUAL = 0.999
BATCH = 64


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        samples: How many were compared, and of what.
        largest_difference: Between two outputs.
        largest_output: Of the trained network, in magnitude.
        equal_predictions: Share of samples, or of a text's places, with the same likeliest output;
            None if there is but one output.
        score: Of the exported network, as the task defines it; None without targets.
        trained_score: Of the trained one on the same samples.
    """

    samples: str
    largest_difference: float
    largest_output: float
    equal_predictions: float | None
    score: float | None
    trained_score: float | None

    @property
    def is_equal(self) -> bool:
        """Whether the two agree within what float32 can tell apart."""
        close = self.largest_difference <= MAX_DIFFERENCE * max(1.0, self.largest_output)
        return close and (self.equal_predictions is None or self.equal_predictions >= MIN_EQUAL)

    def to_json(self) -> dict[str, Any]:
        """As `export-network --json` prints it."""
        return asdict(self)


@torch.no_grad()
def compare(exported: Infer, trained: Infer, samples: Samples, *, places: bool) -> Comparison:
    """Run both on all samples.

    Args:
        exported: The file in its runtime.
        trained: The network as it left the run.
        samples: At least one.
        places: Whether the likeliest output is one per place of a text, of the last dimension.
    """
    largest = difference = 0.0
    equal: list[Tensor] = []
    scores: tuple[list[Tensor], list[Tensor]] = ([], [])
    for inputs, targets in samples.batches(BATCH):
        ours, theirs = exported(inputs), trained(inputs)
        # A NaN is the largest difference that there is.
        difference = max(difference, float((ours - theirs).abs().nan_to_num(torch.inf).max()))
        largest = max(largest, float(theirs.abs().max()))
        axis = -1 if places else 1
        if theirs.ndim > 1 and theirs.shape[axis] > 1:
            equal.append((ours.argmax(axis) == theirs.argmax(axis)).float().flatten())
        if samples.task is not None and targets is not None:
            for found, outputs in zip(scores, (ours, theirs), strict=True):
                found.append(samples.task.scores(outputs, targets).float())
    score, trained_score = (float(torch.cat(each).mean()) if each else None for each in scores)
    return Comparison(
        samples.source,
        difference,
        largest,
        float(torch.cat(equal).mean()) if equal else None,
        score,
        trained_score,
    )
