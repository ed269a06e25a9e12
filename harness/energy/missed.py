"""The share of a whole machine's energy that the sensors of its parts miss.

Where a meter of the whole machine stands beside sensors of GPUs, processors and memory, what is
left over went into the power supply, fans, disks, network and boards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import total

WHOLE_COVERAGE = 0.95
"""Of a window that was observed for less of its time the two are not compared."""


@dataclass(frozen=True)
class Missed:
    """What the parts of a machine miss of its energy.

    Attributes:
        machine_j: Energy of the whole machine, in J.
        parts_j: Energy of its measured parts.
        share: What they miss, as a share of the whole; below 0 where the sensors contradict each
            other.
        uncertainty: Its uncertainty (95 %): gains of both kinds of sensor included.
    """

    machine_j: float
    parts_j: float
    share: float
    uncertainty: float


def missed(drawn: Iterable[tuple[str, bool, Joules]]) -> Missed | None:
    """What the parts miss; None without both, or where one was not observed throughout.

    Args:
        drawn: Of each device its kind, whether its energy is an estimate, and the energy. Estimates
            are left out: what they miss is their error.
    """
    measured = [(kind, joules) for kind, is_estimate, joules in drawn if not is_estimate]
    machine = [joules for kind, joules in measured if kind == "machine"]
    parts = [joules for kind, joules in measured if kind != "machine"]
    if not machine or not parts:
        return None
    whole, part = total(machine), total(parts)
    seen = min(whole.coverage, part.coverage) >= WHOLE_COVERAGE
    if not (seen and whole.energy_j > 0 and part.energy_j > 0):
        return None
    ratio = part.energy_j / whole.energy_j
    off = math.hypot(part.uncertainty_j / part.energy_j, whole.uncertainty_j / whole.energy_j)
    return Missed(whole.energy_j, part.energy_j, 1 - ratio, ratio * off)
