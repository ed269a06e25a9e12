"""What a score is: its name, its unit, which way is better, and its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Metric:
    """The score of a task.

    Attributes:
        name: As a sentence says it, such as "accuracy".
        unit: Of the score as it is shown, such as "%"; empty if it has none.
        difference_unit: Of a difference of two scores as it is shown, such as "points".
        higher_is_better: Which way is better.
        lowest: No score is lower; -inf if there is no bound.
        highest: No score is higher; inf if there is no bound.
        factor: What a score is multiplied by where it is shown: 100 for per cent.
        decimals: With how many decimals it is shown.
        margin: By how much a score may be worse and still count as kept, as it is shown, unless a
            study says otherwise.
    """

    name: str
    unit: str = ""
    difference_unit: str = ""
    higher_is_better: bool = True
    lowest: float = -math.inf
    highest: float = math.inf
    factor: float = 1.0
    decimals: int = 2
    margin: float = 0.5

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a metric has a name")
        if not self.lowest < self.highest:
            raise ValueError(f"{self.name}: lowest is {self.lowest}, not below {self.highest}")
        if not self.factor > 0 or self.margin < 0:
            raise ValueError(f"{self.name}: factor must be above 0, and margin at least 0")

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1: `sign * score` is higher where better."""
        return 1 if self.higher_is_better else -1

    def comparable_with(self, other: Metric) -> bool:
        """Whether scores of both can be compared: margin and decimals may differ."""
        return self == replace(other, margin=self.margin, decimals=self.decimals)

    def to_json(self) -> dict[str, Any]:
        """For a record; bounds that do not exist are left out."""
        return {key: value for key, value in asdict(self).items() if value not in _NO_BOUNDS}

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Metric:
        """The metric in a record; keys that a later version added are passed over."""
        known = {key: recorded[key] for key in cls.__dataclass_fields__ if key in recorded}
        return cls(**known)


_NO_BOUNDS = (-math.inf, math.inf)

ACCURACY = Metric(
    "accuracy", "%", "points", lowest=0.0, highest=1.0, factor=100.0, decimals=1, margin=0.5
)
"""Share of the samples that are classified rightly; of records that name no metric, too."""
BITS_PER_BYTE = Metric(
    "bits per byte",
    "bits per byte",
    "bits per byte",
    higher_is_better=False,
    lowest=0.0,
    decimals=3,
    margin=0.02,
)
"""Cross-entropy of the next byte, in bits: how far a text could be compressed."""
