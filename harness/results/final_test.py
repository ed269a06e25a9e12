"""The result on the test set: written into a run's journal, and read back."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def facts_of_test(right: bytes) -> dict[str, Any]:
    """The keys of a `result` event that hold it.

    Args:
        right: One byte per sample, in the order of the test set: 1 where it was classified rightly.
    """
    import numpy as np  # in functions: `status` reads no such bits, and should not wait for it

    found = np.frombuffer(right, dtype=np.uint8)
    return {
        "test_score": int(found.sum()) / len(found),
        "test_samples": len(found),
        "test_correct": base64.b64encode(np.packbits(found).tobytes()).decode("ascii"),
    }


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
