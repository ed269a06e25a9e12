"""The grammar of `--fail-on`: a limit on how much one quantity may change between result sets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.errors import UsageError, nearest

if TYPE_CHECKING:
    from harness.settings.metric import Metric

POINTS = "points"
PERCENT = "%"

Quantity = Literal["score", "energy", "time", "co2e"]

_QUANTITIES: dict[str, Quantity] = {
    "accuracy": "score",
    "score": "score",
    "energy": "energy",
    "time": "time",
    "co2e": "co2e",
}
"""From the name of what may be limited; a score that is no accuracy has the general one."""

_EXAMPLES = {
    "accuracy": "accuracy:-0.5points",
    "score": "score:-0.5",
    "energy": "energy:+5%",
    "time": "time:+10%",
    "co2e": "co2e:+5%",
}
_CHANGE = re.compile(r"(?P<sign>[+\-−])\s*(?P<number>\d+\.?\d*|\.\d+)\s*(?P<unit>\S*)")


@dataclass(frozen=True)
class Threshold:
    """The most that a quantity may get worse, or the least that it must get better.

    Attributes:
        text: As it was given.
        arm: Words that choose arms: a label, or a selector; empty for every arm.
        quantity: What is limited.
        limit: In percent of the first result set; of a score, as its metric shows differences. A
            score of which higher is better must not change by less, anything else not by more.
        unit: Of the limit: "%", "points"; empty for a score without one.
    """

    text: str
    arm: str
    quantity: Quantity
    limit: float
    unit: str = PERCENT

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read `METRIC:CHANGE` or `ARM/METRIC:CHANGE`, such as "energy:+5%".

        The last slash ends the arm's words, so that these may hold spaces and slashes.

        Raises:
            UsageError: The text is not a threshold.
        """
        arm, slash, rest = text.rpartition("/")
        name, colon, change = (part.strip() for part in rest.partition(":"))
        if slash and not arm.strip():
            raise _wrong(text, "no method before the slash, such as early_bird/energy:+5%")
        if not colon:
            raise _wrong(text, "must be METRIC:CHANGE, such as energy:+5%")
        if name not in _QUANTITIES:
            raise _wrong(text, f"'{name}' is unknown; {nearest(name, _QUANTITIES)}")
        limit, unit = _limit(text, name, change)
        return cls(text, arm.strip(), _QUANTITIES[name], limit, unit)

    def check_unit(self, metric: Metric) -> None:
        """Refuse a limit of a score in the unit of another metric.

        Raises:
            UsageError: It is.
        """
        if self.quantity == "score" and self.unit not in ("", metric.difference_unit):
            better = "-" if metric.higher_is_better else "+"
            raise _wrong(
                self.text,
                f"scores are {metric.name}, such as score:{better}{metric.margin:g}",
            )


def _limit(text: str, name: str, change: str) -> tuple[float, str]:
    """The limit and its unit."""
    such_as = f"such as {_EXAMPLES[name]}"
    found = _CHANGE.fullmatch(change)
    if found is None:
        raise _wrong(text, f"'{change}': expected a number with a sign, {such_as}")
    # A bare number of percent could be meant as joules or seconds; bare points could not.
    limit = float(found["number"]) * (1 if found["sign"] == "+" else -1)
    if name == "score":
        return limit, found["unit"]
    unit = POINTS if name == "accuracy" else PERCENT
    if found["unit"] not in ({POINTS, ""} if unit == POINTS else {PERCENT}):
        raise _wrong(text, f"{name} changes in {unit}, {such_as}")
    if limit <= -100 or (limit > 100 and unit == POINTS):
        raise _wrong(text, f"{name} cannot change by that much, {such_as}")
    return limit, unit


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"--fail-on {text}: {why}")
