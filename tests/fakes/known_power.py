"""A power over time whose integral is exact: what sensors in tests are to be measured by."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise


class KnownPower:
    """Pieces of constant power in W; the first reaches back before time 0."""

    def __init__(self, power_w: float) -> None:
        self.starts_ns = [0]
        self.powers_w = [float(power_w)]

    def draw(self, power_w: float, at_ns: int) -> None:
        """From `at_ns` on draw `power_w`; at the start of the last piece, change that piece.

        Raises:
            ValueError: A later piece exists.
        """
        if at_ns < self.starts_ns[-1]:
            raise ValueError(
                f"a piece from {self.starts_ns[-1]} ns on exists: {at_ns} is before it"
            )
        if at_ns > self.starts_ns[-1]:
            # In this order: another thread may ask for the energy meanwhile.
            self.powers_w.append(float(power_w))
            self.starts_ns.append(at_ns)
        self.powers_w[-1] = float(power_w)

    def truth_j(self, start_ns: int, end_ns: int) -> float:
        """The energy in J between two moments."""
        first = max(bisect_right(self.starts_ns, start_ns) - 1, 0)
        last = bisect_right(self.starts_ns, end_ns)
        edges_ns = [start_ns, *self.starts_ns[first + 1 : last], end_ns]
        lengths_ns = (end - start for start, end in pairwise(edges_ns))
        powers_w = self.powers_w[first : max(last, first + 1)]
        return math.fsum(map(math.prod, zip(powers_w, lengths_ns, strict=True))) * 1e-9
