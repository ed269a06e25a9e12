"""CO2e of each arm by the hour of the day at which it begins, from a series of carbon factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import EngFormatter

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import chosen, panels
from reports.plotting.svg_ids import Marks
from reports.statistics.energy_kind import standing_of
from reports.statistics.statistics import energy_interval
from reports.text import captions
from reports.text.units import fixed, mass_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.data import StudyResults
    from reports.statistics.energy_kind import EnergyKinds

NAME = "co2_hours"

_JOULES_PER_KWH = 3.6e6
_GRAMS = 1e3


@dataclass(frozen=True)
class _Day:
    """CO2e of one arm in kg by the hour at which it begins.

    `hours` has columns `hour`, `mean`, `low` and `high`; hours without a factor are missing.
    """

    arm: str
    hours: pd.DataFrame

    @property
    def best(self) -> tuple[int, float]:
        """The hour with the least, and its mean."""
        return min(self._means, key=lambda hour: hour[1])

    @property
    def worst(self) -> tuple[int, float]:
        """The hour with the most, and its mean."""
        return max(self._means, key=lambda hour: hour[1])

    @property
    def words(self) -> str:
        """The effect of the choice of the hour."""
        (best, least), (worst, most) = self.best, self.worst
        if not least < most:
            return "no hour is better than another"
        return f"{best:02d}:00 is {fixed((1 - least / most) * 100, 0)} % below {worst:02d}:00"

    @property
    def _means(self) -> list[tuple[int, float]]:
        hours, means = self.hours["hour"], self.hours["mean"]
        return [(int(hour), float(kg)) for hour, kg in zip(hours, means, strict=True)]


def draw(results: StudyResults) -> Figured | None:
    """A panel per arm; None without a series of factors or a known energy."""
    every = [_day(results, arm) for arm in results.finished_arms]
    days = {day.arm: day for day in every if len(day.hours)}
    arms, left_out = chosen(list(days))
    if not arms:
        return None
    days = {arm: days[arm] for arm in arms}
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, days, marks)
    bases = captions.words(results.finished["carbon_basis"])
    series = dict.fromkeys(basis.partition("; ")[0] for basis in bases)
    standing = standing_of(results.finished)
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    caption = (
        "CO2e of one run by the full hour (UTC) at which it begins: each method's mean energy "
        "times the mean carbon factor over the mean duration of its runs. Computed, not "
        "measured, and assuming constant power. Line: mean over all days on "
        "which such a run is within the series; band: lowest and highest day; mark: the best "
        f"hour. Factors: {'; '.join(series)}. The band is not a confidence interval. "
        f"{left_out}{hollow}"
    )
    brief = (
        "CO2e of one run by the hour (UTC) at which it begins, computed from its energy and carbon "
        "factors. Line: mean over days; band: lowest and highest day. "
        f"{captions.short_basis(results)}"
    )
    alt = "CO2e of one run by the hour at which it begins. " + " ".join(
        f"{day.arm}: {_mass(day.best[1])} to {_mass(day.worst[1])}, {day.words}."
        for day in days.values()
    )
    return Figured(
        *(figure, _frame(days), " ".join(caption.split()), alt, marks),
        brief=brief,
        basis=captions.basis(results),
    )


def _day(results: StudyResults, arm: str) -> _Day:
    energy_j = energy_interval(results.by_seed(arm, "energy_j").values()).mean
    own = results.hours[results.hours["arm"] == arm].sort_values("hour")
    kwh = energy_j / _JOULES_PER_KWH
    columns = {"mean": "kg_per_kwh", "low": "kg_per_kwh_low", "high": "kg_per_kwh_high"}
    hours = pd.DataFrame(
        {"hour": own["hour"].astype(int)}
        | {name: pd.to_numeric(own[column]) * kwh for name, column in columns.items()}
    )
    return _Day(arm, hours.dropna().reset_index(drop=True))


def _frame(days: dict[str, _Day]) -> pd.DataFrame:
    """One row per arm and hour."""
    names = {"mean": "co2e_kg", "low": "co2e_kg_low", "high": "co2e_kg_high"}
    parts = [day.hours.rename(columns=names).assign(arm=day.arm) for day in days.values()]
    return pd.concat(parts, ignore_index=True)[["arm", "hour", *names.values()]]


def _mass(kg: float) -> str:
    unit = mass_unit([kg])
    return f"{unit.show(kg)} {unit.symbol}"


def _draw(results: StudyResults, days: dict[str, _Day], marks: Marks) -> Figure:
    standing = standing_of(results.finished)
    kind = "" if standing.measured else f" (CO2e of {standing.adjective} energy)"
    looks = style.arm_styles(results.arms, results.baseline_arm)
    figure, grid = panels(
        {arm: day.words for arm, day in days.items()},
        looks,
        marks,
        title=f"When to begin{kind}",
        xlabel="Begins at (UTC)",
        ylabel="CO2e",
        height_in={1: 2.6, 2: 2.2, 3: 1.9}.get(len(days), 1.5),
    )
    style.watermark(figure, standing)
    for arm, axes in grid.items():
        _draw_day(axes, days[arm], looks[arm], standing, marks)
    axes = next(iter(grid.values()))
    axes.set_xlim(-0.5, 23.5)
    axes.set_xticks([0, 6, 12, 18], ["00:00", "06:00", "12:00", "18:00"])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(EngFormatter("g"))
    labels.freeze(figure)
    return figure


def _draw_day(
    axes: Axes, day: _Day, look: style.ArmStyle, standing: EnergyKinds, marks: Marks
) -> None:
    """The mean with its band over the whole day, and a mark at the best hour."""
    # An hour without a factor breaks the line.
    hours = day.hours.set_index("hour").reindex(range(24)) * _GRAMS
    axes.fill_between(hours.index, hours["low"], hours["high"], color=look.colour, alpha=0.16, lw=0)
    axes.plot(hours.index, hours["mean"], color=look.colour, lw=1.6)
    best, least = day.best
    [mark] = axes.plot(
        *([best], [least * _GRAMS], look.marker),
        ms=6,
        mew=1.3,
        mec=look.colour,
        mfc=look.colour if standing.measured else "white",
        zorder=3,
        clip_on=False,
    )
    marks.add(mark, day.arm, f"{day.arm}: {_mass(least)} CO2e, {day.words}")
