"""The result on the test set: written into a run's journal, and read back."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from harness.results.journal import Journal


@dataclass(frozen=True)
class FinalTest:
    """The result of a finished run on the test set.

    Attributes:
        accuracy: Share of the test set classified rightly, 0 to 1.
        samples: Size of the test set; 0 if an older version did not record it.
        bits: Whether each sample was classified rightly, in the order of the test set, packed
            eight to a byte, the first in the highest bit; None if it was not recorded.
    """

    accuracy: float
    samples: int = 0
    bits: bytes | None = None


def facts_of_test(scores: NDArray[np.floating]) -> dict[str, Any]:
    """The keys of a `result` event that hold it.

    Args:
        scores: By sample, in the order of the test set; 1 where it was classified rightly, else 0.
    """
    import numpy as np  # in functions: `status` reads no such bits, and should not wait for it

    facts = {"test_score": float(scores.mean(dtype=np.float64)), "test_samples": len(scores)}
    if not np.isin(scores, (0, 1)).all():
        return facts
    bits = np.packbits(scores.astype(np.uint8)).tobytes()
    return {**facts, "test_correct": base64.b64encode(bits).decode("ascii")}


def final_test(journal: Journal) -> FinalTest | None:
    """The test result in the journal of a finished run; None without one."""
    results = journal.events("result") if journal.status == "done" else []
    accuracy = results[-1].get("test_score") if results else None
    if accuracy is None:
        return None
    samples = results[-1].get("test_samples", 0)
    return FinalTest(float(accuracy), samples, _bits(results[-1], samples))


def _bits(result: Mapping[str, Any], samples: int) -> bytes | None:
    """The packed bits; None if there are none, or they contradict the accuracy."""
    text = result.get("test_correct")
    if text is None or not samples:
        return None
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(packed) != -(-samples // 8):
        return None
    import numpy as np

    right = int(np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=samples).sum())
    return packed if abs(right / samples - result["test_score"]) < 0.5 / samples else None
