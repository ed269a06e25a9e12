"""A plan for the terminal: what is left of each arm, and what it will cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from harness.energy.carbon.factor import JOULES_PER_KWH
from reports.statistics.arm_groups import arm_groups
from reports.text.units import (
    Unit,
    duration,
    energy,
    energy_unit,
    mass_unit,
    significant,
    time_unit,
)

if TYPE_CHECKING:
    from harness.results.forecast import Forecast, Prediction

UNKNOWN = "?"
_SMALL_KWH = 0.1
_DISK = (Unit("kB", 1e3), Unit("MB", 1e6), Unit("GB", 1e9), Unit("TB", 1e12))


def plan_table(arms: Sequence[Forecast], names: Mapping[str, str]) -> Table:
    """One row per arm: runs, time and energy of those left, and the basis of the estimate.

    Args:
        arms: The forecast of each.
        names: What the report calls each; levels of a sweep stand in their order.
    """
    by_name = {names[arm.arm]: arm for arm in arms}
    order = [name for group in arm_groups(by_name) for name in group.arms]
    times, energies = [arm.time_s for arm in arms], [arm.energy_j for arm in arms]
    time = time_unit(each.value for each in times if each)
    joules = energy_unit(each.value for each in energies if each)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("method", overflow="fold", min_width=10)
    for header in ("runs", "to do", f"time {time.symbol}", f"energy {joules.symbol}"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("judged by")
    for name in order:
        arm = by_name[name]
        table.add_row(
            Text(name),
            str(arm.runs),
            str(arm.left),
            _shown(arm.time_s, time),
            _shown(arm.energy_j, joules),
            _basis(arm),
        )
    return table


def plan_totals(plan: dict[str, Any]) -> Iterator[str]:
    """The sums, a line each; ± is half a 95 % prediction interval.

    Args:
        plan: What `plan --json` prints.
    """
    if not any(arm["judged_by"] or arm["piloted"] for arm in plan["arms"]):
        yield "cost unknown: no run of this study has finished; try --pilot, or run one seed"
        return
    if plan["unknown"]:
        yield f"at least, not counting {', '.join(plan['unknown'])}:"
    standing = plan["energy_standing"]
    kind = "" if standing == "measured" else f" ({standing})"
    yield f"time    {_sum(plan['time_s'], duration)} of work"
    if plan["makespan_s"] is not None:
        at_once = plan["at_once"]
        how = "one run at a time" if at_once == 1 else f"{at_once} runs at a time"
        yield f"        {duration(plan['makespan_s'])} with {how}"
    yield f"energy  {_sum(plan['energy_kwh'], _kwh)}{kind}"
    yield f"CO2e    {_sum(plan['co2e_kg'], _kg)}: {plan['co2e_basis']}"
    if plan["price"]:
        yield f"price   {_sum(plan['price'], significant)}"
    yield f"disk    {_sum(plan['disk_bytes'], _disk)}"
    least = plan["at_least"]
    if least:
        yield (
            f"at least {_sum(least['time_s'], duration)} of work, "
            f"{_sum(least['energy_kwh'], _kwh)}: {least['left']} runs, if each verdict is decided "
            "at the next look"
        )
    if any(arm["piloted"] for arm in plan["arms"]):
        yield "a pilot trains the dense network: methods that shrink it cost less than shown"
    for cut_short in dict.fromkeys(arm["pilot_cut_short"] for arm in plan["arms"]):
        if cut_short:
            yield f"the pilot was cut short: {cut_short}; ± is wider for that, or unknown"


def _sum(pair: dict[str, float | None], show: Callable[[float], str]) -> str:
    value, half_width = pair["value"] or 0.0, pair["half_width"]
    return f"{show(value)} ± {UNKNOWN if half_width is None else show(half_width)}"


def _shown(expected: Prediction | None, unit: Unit) -> str:
    if expected is None:
        return UNKNOWN
    width = UNKNOWN if expected.half_width is None else unit.show(expected.half_width)
    return f"{unit.show(expected.value)} ± {width}"


def _basis(arm: Forecast) -> str:
    if arm.is_piloted:
        standing = arm.kinds.adjective
        return "pilot, dense" + ("" if standing == "measured" else f", {standing}")
    if not arm.examples:
        return "nothing: no run has finished"
    runs = "one finished run" if arm.examples == 1 else f"{arm.examples} finished runs"
    standing = arm.kinds.adjective
    return runs if standing == "measured" else f"{runs}, {standing}"


def _kwh(kwh: float) -> str:
    return f"{significant(kwh)} kWh" if kwh >= _SMALL_KWH else energy(kwh * JOULES_PER_KWH)


def _kg(kilograms: float) -> str:
    unit = mass_unit([kilograms])
    return f"{unit.show(kilograms)} {unit.symbol}"


def _disk(size: float) -> str:
    unit = next((each for each in _DISK if size < 1000 * each.size), _DISK[-1])
    return f"{unit.show(size)} {unit.symbol}"
