"""The plane of energy and score: its axes and the coordinates of what is drawn in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from reports.statistics.statistics import Interval
from reports.text.units import Unit, energy, energy_unit, relative

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.settings.metric import Metric
    from reports.text.scores import Shown

Place = tuple[float, float]


@dataclass(frozen=True)
class EnergyScale:
    """What the axis of energy shows: joules, or shares of what an arm used with the same seed.

    Joules of several machines have no mean that says something of a method; ratios within each
    machine have.

    Attributes:
        relative_to: That arm; empty for joules.
    """

    relative_to: str = ""

    @property
    def column(self) -> str:
        """The name of the energies in a table."""
        return "energy_ratio" if self.relative_to else "energy_j"

    def unit(self, energies: Iterable[float]) -> Unit:
        """What the axis counts in."""
        return Unit(f"× {self.relative_to}", 1.0) if self.relative_to else energy_unit(energies)

    def text(self, value: float) -> str:
        """One energy, in words."""
        return f"{relative(value)} × {self.relative_to}" if self.relative_to else energy(value)


IN_JOULES = EnergyScale()
LOG_FROM = 30.0
"""Energies that differ by more than this factor are drawn on a logarithmic axis."""
FARTHEST = 2.0
"""An interval is drawn up to this many times the largest energy of a run or a mean."""
_ROOM = 0.1
"""Beside the outermost points, as a share of the axis."""
_MARK = 0.02
"""Half the height of a mark, as a share of the axis."""


@dataclass(frozen=True)
class Dot:
    """A finished run: energy and score in their own units, or both as their axes have them."""

    arm: str
    seed: int
    energy: float
    score: float

    def tip(self, shown: Shown, scale: EnergyScale) -> str:
        """What it shows, in words; of a run in its own units."""
        text = f"{shown.text(self.score)} at {scale.text(self.energy)}"
        return f"{self.arm}, seed {self.seed}: {text}"


@dataclass(frozen=True)
class Point:
    """An arm's mean: energy and score in their own units, or both as their axes have them."""

    arm: str
    energy: Interval
    score: Interval

    @property
    def place(self) -> Place:
        """Where it is drawn."""
        return self.energy.mean, self.score.mean

    def tip(self, shown: Shown, scale: EnergyScale) -> str:
        """What it shows, in words; of a mean in its own units."""
        spent, reached = self.energy, self.score
        text = f"{shown.text(reached.mean)} at {scale.text(spent.mean)}"
        if reached.bounded and spent.bounded:
            text += f"; 95 % CI {shown.ends(reached)} {shown.metric.unit}".rstrip()
            text += f", {scale.text(spent.low)} … {scale.text(spent.high)}"
        count = reached.n if reached.n == spent.n else f"{reached.n} (energy of {spent.n})"
        return f"{self.arm}, mean of {count}: {text}"


@dataclass(frozen=True)
class Plane:
    """Runs and means in the units of the axes: scores as they are shown, and `size` joules.

    `log` is whether the energy axis is logarithmic.
    """

    dots: Sequence[Dot]
    points: Sequence[Point]
    metric: Metric
    size: float
    log: bool

    @classmethod
    def of(cls, dots: Sequence[Dot], points: Sequence[Point], metric: Metric, size: float) -> Plane:
        """From joules and scores; joules stay where the axis is logarithmic."""
        positive = all(dot.energy > 0 for dot in dots)
        log = positive and spans_magnitudes([point.energy.mean for point in points])
        unit, factor = 1.0 if log else size, metric.factor
        return cls(
            [Dot(d.arm, d.seed, d.energy / unit, d.score * factor) for d in dots],
            [Point(p.arm, p.energy.scaled(1 / unit), p.score.scaled(factor)) for p in points],
            metric,
            unit,
            log,
        )

    @property
    def left(self) -> float:
        """Where the energy axis begins; an interval that reaches further down is cut there."""
        if not self.log:
            return 0.0
        known = [*(dot.energy for dot in self.dots), *(p.energy.mean for p in self.points)]
        return min(known) * float((min(known) / max(known)) ** _ROOM)

    @property
    def right(self) -> float:
        """Where an interval that reaches further up is cut: with two seeds it may be very wide."""
        means = [point.energy.mean for point in self.points]
        return FARTHEST * max(*means, *(dot.energy for dot in self.dots), 0.0)

    @property
    def is_cut(self) -> bool:
        """Whether an interval reaches beyond what is drawn."""
        return any(point.energy.high > self.right for point in self.points)

    def bars(self, point: Point) -> list[tuple[Place, Place]]:
        """The ends of a mean's two intervals, where it has them."""
        (x, y), found = point.place, []
        if point.energy.bounded:
            low, high = max(point.energy.low, self.left), min(point.energy.high, self.right)
            found.append(((low, y), (high, y)))
        if point.score.bounded:
            found.append(((x, point.score.low), (x, point.score.high)))
        return found

    def set_limits(self, axes: Axes, scale: EnergyScale) -> None:
        """Lay the axes round all that was drawn."""
        axes.margins(x=0.08, y=0.12)
        axes.autoscale_view()
        axes.set_xlim(left=self.left, right=self.right if self.is_cut else None)
        low, high = axes.get_ylim()
        # There is no score beyond its bounds, but half of a mark on one of them is.
        room, factor = _MARK * (high - low), self.metric.factor
        least, most = self.metric.lowest * factor, self.metric.highest * factor
        axes.set_yticks([tick for tick in axes.get_yticks() if least <= tick <= most], minor=False)
        axes.set_ylim(max(low, least - room), min(high, most + room))
        if self.log:
            mark_magnitudes(axes, scale)


def spans_magnitudes(energies: Sequence[float]) -> bool:
    """Whether energies of arms differ so much that they need a logarithmic axis."""
    return bool(energies) and min(energies) > 0 and max(energies) > LOG_FROM * min(energies)


def mark_magnitudes(axes: Axes, scale: EnergyScale = IN_JOULES) -> None:
    """Mark a logarithmic axis of energy, each mark of joules with its own unit."""
    low, high = axes.get_xlim()
    few = high < low * 1e3
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain if scale.relative_to else EngFormatter("J"))
    axes.xaxis.set_minor_locator(NullLocator())


def is_sure(point: Point, every: Sequence[Point], sign: int) -> bool:
    """Whether the intervals show that an arm is on the front: no other may be better in both.

    Args:
        point: The arm's mean.
        every: The means of all arms.
        sign: The metric's: -1 where a lower score is better.
    """
    others = [other for other in every if other.arm != point.arm]
    if not all(each.energy.bounded and each.score.bounded for each in (point, *others)):
        return False
    return not any(
        other.energy.low < point.energy.high
        and other.score.oriented(sign).high > point.score.oriented(sign).low
        for other in others
    )


def steps(front: Sequence[Place], right: float) -> list[Place]:
    """The corners of a front (by ascending energy): the best score for an energy or less."""
    corners: list[Place] = []
    for x, y in front:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return [*corners, (right, corners[-1][1])] if corners else []
