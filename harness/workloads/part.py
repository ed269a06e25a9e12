"""The share of every batch that one of several processes works on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One of `of` equal shares, or as equal as whole samples allow.

    Attributes:
        rank: Which, from 0.
        of: How many there are.
    """

    rank: int = 0
    of: int = 1

    def among(self, count: int) -> slice:
        """Which of `count` things in a row are this part's; the parts tile them."""
        return slice(count * self.rank // self.of, count * (self.rank + 1) // self.of)

    def size(self, count: int) -> int:
        """How many of `count` things are this part's."""
        return len(range(count)[self.among(count)])


WHOLE = Part()
