"""The result on the test set: written into a run's journal, and read back."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.settings.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from harness.results.journal import Journal

MAX_RECORDED = 1_000_000
"""Of more samples than this, scores that are no bits are not recorded one by one: 5 MB of text."""
_ROUNDING = 1e-5
"""How far the mean of scores with 24 bits may be off, as a share of the largest of them."""


@dataclass(frozen=True)
class FinalTest:
    """The result of a finished run on the test set.

    Attributes:
        score: On the whole test set, in the metric's own unit.
        samples: Size of the test set; 0 if an older version did not record it.
        bits: Where each sample is right or wrong, 1 or 0 for each in the order of the test set,
            packed eight to a byte, the first in the highest bit; None if it was not recorded.
        values: Of other scores, that of each sample in the same order, as little-endian float32;
            None if they were not recorded.
        metric: What the score is.
    """

    score: float
    samples: int = 0
    bits: bytes | None = None
    values: bytes | None = None
    metric: Metric = ACCURACY

    @property
    def is_count(self) -> bool:
        """Whether the score is how many samples are right, as a share; if not known, as bounded."""
        bounds = (self.metric.lowest, self.metric.highest)
        return self.bits is not None or (self.values is None and bounds == (0, 1))

    @property
    def by_sample(self) -> NDArray[np.floating | np.integer] | None:
        """The score of each sample, shape (samples,); None if it was not recorded."""
        import numpy as np  # in functions: `status` reads no samples, and should not wait for it

        if self.bits is not None:
            return np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8), count=self.samples)
        return None if self.values is None else np.frombuffer(self.values, dtype="<f4")


def facts_of_test(scores: NDArray[np.floating]) -> dict[str, Any]:
    """The keys of a `result` event that hold it.

    Args:
        scores: By sample, in the order of the test set; their mean is the score.
    """
    import numpy as np

    facts = {"test_score": float(scores.mean(dtype=np.float64)), "test_samples": len(scores)}
    if np.isin(scores, (0, 1)).all():
        return facts | {"test_correct": _as_text(np.packbits(scores.astype(np.uint8)).tobytes())}
    if len(scores) > MAX_RECORDED:
        return facts
    return facts | {"test_scores": _as_text(scores.astype("<f4").tobytes())}


def final_test(journal: Journal) -> FinalTest | None:
    """The test result in the journal of a finished run; None without one."""
    results = journal.events("result") if journal.status == "done" else []
    score = results[-1].get("test_score") if results else None
    if score is None:
        return None
    samples = results[-1].get("test_samples", 0)
    found = FinalTest(
        float(score),
        samples,
        bits=_recorded(results[-1], "test_correct", -(-samples // 8)),
        values=_recorded(results[-1], "test_scores", 4 * samples),
        metric=journal.metric,
    )
    # Samples that contradict the score are not relied on.
    return found if _agree(found) else FinalTest(found.score, samples, metric=found.metric)


def _recorded(result: Mapping[str, Any], key: str, length: int) -> bytes | None:
    """The bytes in a text; None if there are none, or another number of them."""
    text = result.get(key)
    if not text:
        return None
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == length else None


def _agree(found: FinalTest) -> bool:
    """Whether the mean over samples is the score."""
    scores = found.by_sample
    if scores is None:
        return True
    import numpy as np

    off = abs(float(scores.mean(dtype=np.float64)) - found.score)
    if found.bits is not None:
        return off < 0.5 / found.samples
    return off <= _ROUNDING * float(np.abs(scores).max())


def _as_text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
