"""The energy of windows by their names, from one trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.energy.curves.curve import Joules
from harness.energy.trace import Trace
from harness.energy.windows import curves, total


@dataclass(frozen=True)
class WindowEnergy:
    """The energy of all windows of one name.

    Attributes:
        duration_s: Of all together.
        joules: Of all together.
        each: One by one, in the order in which they ended.
    """

    duration_s: float
    joules: Joules
    each: tuple[Joules, ...]


def by_window(trace: Trace, windows: Sequence[tuple[str, int, int]]) -> dict[str, WindowEnergy]:
    """The energy of named windows, in the order in which the names first come.

    Args:
        trace: What was recorded.
        windows: Name, start and end on the monotonic clock. They may overlap.
    """
    starts_ns = [start_ns for _, start_ns, _ in windows]
    ends_ns = [end_ns for _, _, end_ns in windows]
    devices = [curve.windows(starts_ns, ends_ns) for curve in curves(trace, {*starts_ns, *ends_ns})]
    drawn = [*map(total, zip(*devices, strict=True))] or [total([])] * len(windows)
    found: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(windows):
        found.setdefault(name, []).append(place)
    return {
        name: WindowEnergy(
            duration_s=sum((ends_ns[place] - starts_ns[place]) * 1e-9 for place in places),
            joules=total(drawn[place] for place in places),
            each=tuple(drawn[place] for place in places),
        )
        for name, places in found.items()
    }
