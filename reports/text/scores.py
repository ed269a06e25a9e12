"""A metric as people see it: its words, its digits, and its differences with their sign."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reports.text.units import Unit, fixed, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.settings.metric import Metric
    from reports.statistics.statistics import Interval


@dataclass(frozen=True)
class Shown:
    """Scores of a metric, given in its own unit, as texts.

    Tables and differences have one decimal more than sentences and tips.
    """

    metric: Metric

    @property
    def name(self) -> str:
        """Within a sentence: "accuracy"."""
        return self.metric.name

    @property
    def title(self) -> str:
        """At the beginning of one: "Accuracy"."""
        return f"{self.name[0].upper()}{self.name[1:]}"

    def header(self, before: str = "") -> str:
        """Above a column: "Test accuracy", "Test bits per byte (lower is better)"."""
        title = f"{before} {self.name}" if before else self.title
        return title if self.metric.higher_is_better else f"{title} (lower is better)"

    def axis(self, before: str = "") -> str:
        """Of an axis: "Test accuracy (%)", "Test bits per byte (lower is better)"."""
        symbol = self.unit.symbol
        better = [] if self.metric.higher_is_better else ["lower is better"]
        more = ", ".join([*([symbol] if symbol else []), *better])
        title = f"{before} {self.name}" if before else self.title
        return f"{title} ({more})" if more else title

    def difference_axis(self, title: str) -> str:
        """Of an axis of differences with this title: "Accuracy against dense (points)"."""
        unit = self.metric.difference_unit
        parts = [unit] if unit and unit != self.name else []
        parts += [] if self.metric.higher_is_better else ["lower is better"]
        return f"{title} ({', '.join(parts)})" if parts else title

    @property
    def unit(self) -> Unit:
        """Of a score in a header; without a symbol where the name is the unit."""
        symbol = self.metric.unit if self.metric.unit != self.name else ""
        return Unit(symbol, 1 / self.metric.factor)

    @property
    def difference_unit(self) -> Unit:
        """Of a difference of two scores in a header."""
        return Unit(self.metric.difference_unit, 1 / self.metric.factor)

    @property
    def unit_of_change(self) -> Unit:
        """The same beside the name, which is not given twice where it is the unit."""
        unit = self.difference_unit
        return Unit("", unit.size) if unit.symbol == self.name else unit

    @property
    def figures(self) -> Callable[[float], str]:
        """A score in the unit of a column as a table shows it: "98.05"."""
        return partial(fixed, decimals=self.metric.decimals + 1)

    @property
    def changes(self) -> Callable[[float], str]:
        """A difference in the unit of a column, likewise: "−0.52"."""
        return partial(signed, decimals=self.metric.decimals + 1)

    def bare(self, score: float) -> str:
        """A score without its unit: "98.0"."""
        return fixed(score * self.metric.factor, self.metric.decimals)

    def text(self, score: float) -> str:
        """A score with its unit: "98.0 %"."""
        return f"{self.bare(score)} {self.metric.unit}".strip()

    def tight(self, score: float, more: int = 0) -> str:
        """A score on a terminal, with `more` decimals: "98.0%", "1.801 bits per byte"."""
        number = fixed(score * self.metric.factor, self.metric.decimals + more)
        unit = self.metric.unit
        return f"{number}{unit}" if unit == "%" else f"{number} {unit}".strip()

    def ends(self, found: Interval) -> str:
        """An interval of scores without its unit: "97.5 … 98.4"."""
        return f"{self.bare(found.low)} … {self.bare(found.high)}"

    def change(self, difference: float) -> str:
        """A difference with its sign, without its unit: "−0.52"."""
        return self.changes(difference * self.metric.factor)

    def change_text(self, difference: float) -> str:
        """A difference with its sign and unit: "−0.52 points"."""
        return f"{self.change(difference)} {self.metric.difference_unit}".strip()

    def change_ends(self, found: Interval) -> str:
        """An interval of differences: "−1.50 … +0.40"."""
        return f"{self.change(found.low)} … {self.change(found.high)}"

    def size(self, shown: float) -> str:
        """The size of a difference, given as it is shown: "0.5 points", "1 point"."""
        unit = self.metric.difference_unit
        return f"{shown:g} {unit.removesuffix('s') if shown == 1 else unit}".strip()

    def size_of_name(self, shown: float) -> str:
        """The same after the name, which is not given twice where it is the unit."""
        return f"{shown:g}" if self.metric.difference_unit == self.name else self.size(shown)
