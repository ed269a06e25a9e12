"""What a CPU draws by the number of its busy threads, as it was measured on one machine.

Power rises by less with each further busy thread, since threads share clocks, caches and cores: so
one constant per thread is right at one number of busy threads alone, and a curve at all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a recorder without a curve starts faster without NumPy
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

UNKNOWN_RESIDUAL = 0.05
"""Stated for a curve of fewer than three points, which leave nothing to check it with (our
judgement)."""
MAX_THREADS = 65_536
MAX_POWER_W = 100_000.0


@dataclass(frozen=True)
class PowerCurve:
    """Watts above idle by busy threads: measured at some numbers, interpolated between.

    Attributes:
        threads: Numbers of busy threads, rising from 1.
        power_w: What they drew together above idle, all above 0.
        residual: How far off an interpolated power may be, as a share.
        gain: Uncertainty of the meter that measured them, as a share (95 %).
        meter: Its name.
        date: When, as YYYY-MM-DD.
        is_simulated: Whether the meter is a stand-in.

    Raises:
        ValueError: The numbers are no curve.
    """

    threads: tuple[int, ...]
    power_w: tuple[float, ...]
    residual: float
    gain: float
    meter: str
    date: str
    is_simulated: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no curve: it may come from any file."""
        rises = all(a < b for a, b in zip(self.threads, self.threads[1:], strict=False))
        if not (self.threads and self.threads[0] == 1 and rises):
            raise ValueError("threads: must rise from 1")
        if len(self.threads) != len(self.power_w) or self.threads[-1] > MAX_THREADS:
            raise ValueError("power_w: must be a power for each number of threads")
        if not all(0 < power_w < MAX_POWER_W for power_w in self.power_w):
            raise ValueError("power_w: must be above 0")
        if not all(0 <= share < math.inf for share in (self.residual, self.gain)):
            raise ValueError("residual, gain: must be shares")

    def watts(self, busy: ArrayLike) -> Floats:
        """Watts above idle at numbers of busy threads, any shape.

        Between two measured numbers power is a power of the number, as a straight line on two
        logarithmic axes. Less than one thread is one that waits now and then; more than were
        measured draw what the most did.
        """
        import numpy as np

        threads = np.asarray(busy, dtype=np.float64)
        whole_w = _interpolated(np.maximum(threads, 1.0), self.threads, self.power_w)
        found: Floats = whole_w * np.clip(threads, 0.0, 1.0)
        return found

    @property
    def text(self) -> str:
        """Date, meter and residual, for people."""
        meter = f"{self.meter}{' (a stand-in)' if self.is_simulated else ''}"
        return f"{self.date}, {meter}, residual {self.residual:.0%}"


def residual_of(threads: tuple[int, ...], power_w: tuple[float, ...]) -> float:
    """How far off an interpolated power may be: each inner point is predicted from the others.

    Leaving a point out doubles the distance between its neighbours, over which a smooth curve
    departs from its chord four times as far as over half of it. Half of the largest departure is
    stated.
    """
    if len(threads) < 3:
        return UNKNOWN_RESIDUAL
    departures = []
    for number in range(1, len(threads) - 1):
        rest = [n for n in range(len(threads)) if n != number]
        others_w = [power_w[n] for n in rest]
        found_w = _interpolated(threads[number], [threads[n] for n in rest], others_w)
        departures.append(abs(float(found_w) / power_w[number] - 1))
    return max(departures) / 2


def _interpolated(at: ArrayLike, threads: Sequence[int], power_w: Sequence[float]) -> Floats:
    import numpy as np

    x, xp, fp = (np.log(np.asarray(each, dtype=np.float64)) for each in (at, threads, power_w))
    found: Floats = np.exp(np.interp(x, xp, fp))
    return found
