"""The grammar of `--fail-on`: a limit on how much one quantity may change between result sets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError, nearest

POINTS = "points"
PERCENT = "%"

Metric = Literal["accuracy", "energy", "time", "co2e"]

UNITS: dict[Metric, str] = {"accuracy": POINTS, "energy": PERCENT, "time": PERCENT, "co2e": PERCENT}
"""From what may be limited to the unit of its change."""

_EXAMPLES: dict[Metric, str] = {
    "accuracy": "accuracy:-0.5points",
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
        metric: What is limited.
        limit: In percent of the first result set, or in percentage points of accuracy. Accuracy
            must not change by less, anything else not by more.
    """

    text: str
    arm: str
    metric: Metric
    limit: float

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
        metric = next((known for known in UNITS if known == name), None)
        if metric is None:
            raise _wrong(text, f"'{name}' is unknown; {nearest(name, UNITS)}")
        return cls(text, arm.strip(), metric, _limit(text, metric, change))

    @property
    def unit(self) -> str:
        """The unit of the limit: "%" or "points"."""
        return UNITS[self.metric]


def _limit(text: str, metric: Metric, change: str) -> float:
    such_as = f"such as {_EXAMPLES[metric]}"
    found = _CHANGE.fullmatch(change)
    if found is None:
        raise _wrong(text, f"'{change}': expected a number with a sign, {such_as}")
    # A bare number of percent could be meant as joules or seconds; bare points could not.
    known = {POINTS, ""} if UNITS[metric] == POINTS else {PERCENT}
    if found["unit"] not in known:
        raise _wrong(text, f"{metric} changes in {UNITS[metric]}, {such_as}")
    limit = float(found["number"]) * (1 if found["sign"] == "+" else -1)
    if limit <= -100 or (limit > 100 and UNITS[metric] == POINTS):
        raise _wrong(text, f"{metric} cannot change by that much, {such_as}")
    return limit


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"--fail-on {text}: {why}")
