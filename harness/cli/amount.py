"""Amounts of energy and time on the command line: a number with a unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import click

ENERGY = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "GJ": 1e9, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9}
"""Joules in a unit."""
TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in a unit."""


class Amount(click.ParamType):  # type: ignore[type-arg]
    """A number above 0 with one of the units; without a unit it is of the first."""

    name = "amount"

    def __init__(self, units: Mapping[str, float]) -> None:
        self._units = units

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The amount in the first unit, joules or seconds."""
        found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?) ?([A-Za-z]*)", value.strip())
        size = self._units.get(found[2] or next(iter(self._units))) if found else None
        try:
            amount = float(found[1]) * size if found and size else math.nan
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            units = ", ".join(self._units)
            self.fail(f"{value!r} is not a number with a unit ({units})", param, ctx)
        return amount
