"""When a search has paid for itself: what it costs, what it saves, and how often that takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.analysis.break_even import break_even
from reports.analysis.standing import standing_of
from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.payback import limits, repetitions
from reports.wording.units import MISSING, Unit, energy_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reports.analysis.break_even import BreakEven, Payback
    from reports.analysis.statistics import Interval
    from reports.data import StudyResults

NAME = "break_even"
_SMALL = (Unit("µJ", 1e-6), Unit("mJ", 1e-3), Unit("J", 1.0))


def break_even_table(results: StudyResults) -> Table | None:
    """One row an arm but the baseline; None where nothing is known of any."""
    found = [each for each in break_even(results) if each.trainings or each.inferences]
    if not found:
        return None
    kind = "" if (standing := standing_of(results.finished)).measured else standing.adjective
    columns = [
        *(_of_trainings(found, kind) if any(each.trainings for each in found) else ()),
        *(_of_inferences(found, kind) if any(each.inferences for each in found) else ()),
    ]
    rows = [[cells.text(each.arm), *(cell(each) for _, cell in columns)] for each in found]
    return Table(
        name=NAME,
        title="When a search has paid for itself",
        header=["Method", *(name for name, _ in columns)],
        rows=rows,
        legend=LEGEND,
        arms=[each.arm for each in found],
    )


LEGEND = (
    "Against dense training, run against run of the same seed; energy of lost work is left out. "
    "Trainings: the search, which is all that was spent until the network had its final shape, is "
    "paid once, as if none of it were of use to the run's own training; each training of the "
    "network that was found costs what its epochs cost after the search, for as many epochs as "
    "dense trained. That it reaches the same accuracy again is assumed, not measured. Energy that "
    "another arm spent on finding a network is not counted. Inferences: what the whole recipe "
    "costs above dense, over what one sample of the test set saves, measured in a single pass "
    "over it. Beneath are 95 % intervals: Student-t over seeds (of energies on the log scale), and "
    "Fieller’s for numbers of repetitions, which have no upper limit (∞) where the saving may be "
    "none; then the answer is undecided. A network whose accuracy is worse than dense’s by more "
    "than the margin is not credited with any."
)


Column = tuple[str, "Callable[[BreakEven], Cell]"]


def _of_trainings(found: Sequence[BreakEven], kind: str) -> list[Column]:
    known = [each.trainings for each in found if each.trainings]
    search = energy_unit(each.price_j.mean for each in known)
    training = energy_unit(each.training_j.mean for each in found)
    return [
        (f"Search, {_said(kind, search)}", lambda each: _price(each.trainings, search)),
        (
            f"A training after it, {_said(kind, training)}",
            lambda each: _measured(each.training_j, training),
        ),
        (
            f"Saved each time, {_said(kind, training)}",
            lambda each: _saving(each.trainings, training),
        ),
        ("Trainings to break even", lambda each: _times(each.trainings)),
    ]


def _of_inferences(found: Sequence[BreakEven], kind: str) -> list[Column]:
    known = [each.inferences for each in found if each.inferences]
    unit = energy_unit(each.price_j.mean for each in known)
    small = _small_unit(each.saving_j.mean for each in known)
    return [
        (f"Recipe above dense, {_said(kind, unit)}", lambda each: _price(each.inferences, unit)),
        (f"Saved a sample, {_said(kind, small)}", lambda each: _saving(each.inferences, small)),
        ("Inferences to break even", lambda each: _times(each.inferences)),
    ]


def _said(kind: str, unit: Unit) -> str:
    return f"{kind}, {unit.symbol}" if kind else unit.symbol


def _small_unit(joules: Iterable[float]) -> Unit:
    """The first unit in which the largest value has at most three digits."""
    largest = max((abs(value) for value in joules if math.isfinite(value)), default=0.0)
    return next((unit for unit in _SMALL if largest < 1e3 * unit.size), _SMALL[-1])


def _measured(found: Interval, unit: Unit) -> Cell:
    return cells.measured(found, unit) if found.n else Cell(MISSING)


def _price(payback: Payback | None, unit: Unit) -> Cell:
    return Cell(MISSING) if payback is None else _measured(payback.price_j, unit)


def _saving(payback: Payback | None, unit: Unit) -> Cell:
    return Cell(MISSING) if payback is None else _measured(payback.saving_j, unit)


def _times(payback: Payback | None) -> Cell:
    """The number with its interval, or the verdict with its reason."""
    if payback is None:
        return Cell(MISSING)
    if payback.verdict == "after":
        note = "; ".join(filter(None, [limits(payback), payback.why]))
        return Cell(repetitions(payback.times), note, payback.times)
    note = payback.why
    if not math.isnan(payback.times):
        span = f", {limits(payback)}" if limits(payback) else ""
        note = f"{note}: about {repetitions(payback.times)}{span}"
    return Cell(payback.verdict, note, 0.0 if payback.verdict == "immediately" else "")
