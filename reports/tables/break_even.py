"""When a search has paid for itself: what it costs, what it saves, and how often that takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.statistics.break_even import break_even
from reports.statistics.energy_kind import standing_of
from reports.statistics.lifetime import (
    inferences_of,
    inferences_per_year,
    lifetime,
    lifetime_ratio,
)
from reports.statistics.statistics import Interval, energy_interval
from reports.tables.table import ARM, ENERGY_KIND, Table, View
from reports.text.lifetime import inference_basis, inferences_text
from reports.text.phrases import repetitions
from reports.text.units import MISSING, Unit, energy_unit, relative, sample_energy_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.data import StudyResults
    from reports.statistics.break_even import BreakEven, Payback
    from reports.tables.table import Record

NAME = "break_even"


def _columns(which: str, price: Column, saving: Column) -> Iterator[Column]:
    yield from (price, saving)
    yield Column(
        f"{which}_verdict",
        "text",
        "`after`: that many; `immediately`: there is no price; `until`: there is none, but each "
        "costs more, so that the method is ahead for that many; `undecided`: the saving may "
        "be none; `never`: nothing is saved; `no search`; `not credited`: the score is worse.",
    )
    yield Column(f"{which}_reason", "text", "Of the verdict, or what the number takes for granted.")
    yield Column(
        f"{which}_to_break_even",
        "number",
        "The price over the saving; empty, but for its interval, where it is undecided.",
        interval=True,
    )
    yield Column(f"{which}_estimate", "number", "The same, decided or not.")


SCHEMA = Schema(
    NAME,
    "When a search has paid for itself",
    "a finished method but the baseline",
    (
        ARM,
        Column(
            "training_j",
            "number",
            "A training of the network that was found, for as many epochs as dense trained.",
            "J",
            interval=True,
        ),
        *_columns(
            "trainings",
            Column("search_j", "number", "What the search cost.", "J", interval=True),
            Column("saved_training_j", "number", "What such a training saves.", "J", interval=True),
        ),
        *_columns(
            "inferences",
            Column(
                "recipe_above_dense_j",
                "number",
                "The whole recipe's energy minus dense's.",
                "J",
                interval=True,
            ),
            Column(
                "saved_sample_j",
                "number",
                "What an inference saves, less its share of running the recipe again where the "
                "study retrains.",
                "J",
                interval=True,
            ),
        ),
        Column("inference_j", "number", "What an inference draws.", "J", interval=True),
        Column(
            "inference_basis",
            "text",
            "How that was measured; `test pass` for the one pass over the test set.",
        ),
        Column(
            "year_j",
            "number",
            "The recipe and a year of inferences and retrainings, as many as the study says; "
            "empty if it does not.",
            "J",
            interval=True,
        ),
        Column("year_ratio", "number", "The same over dense's, paired by seed.", interval=True),
        ENERGY_KIND,
    ),
)


def break_even_table(results: StudyResults) -> Table | None:
    """One row per arm but the baseline; None where nothing is known of any."""
    found = [each for each in break_even(results) if each.trainings or each.inferences]
    if not found:
        return None
    standing = standing_of(results.finished)
    kind = "" if standing.measured else standing.adjective
    records = [{**_record(each, standing.adjective), **_year(results, each)} for each in found]
    view = {"arm": View("Method")}
    if any(each.trainings for each in found):
        view |= _of_trainings(found, kind)
    if any(each.inferences for each in found):
        view |= _of_inferences(found, kind)
    if any(record["year_j"] for record in records):
        view |= _of_years(records, kind)
    return Table(
        schema=SCHEMA,
        records=records,
        view=view,
        legend=_LEGEND.format(
            score=results.metric.name, inferences=inferences_text(results, found)
        ),
        arms=[each.arm for each in found],
    )


_LEGEND = (
    "Against dense training, run against run of the same seed; energy of lost work is left out. "
    "Trainings: the search, which is all that was spent until the network had its final shape, is "
    "paid once, as if none of it were of use to the run's own training; each training of the "
    "network that was found costs what its epochs cost after the search, for as many epochs as "
    "dense trained. That it reaches the same {score} again is assumed, not measured. Energy that "
    "another arm spent on finding a network is not counted. Inferences: {inferences} Below are "
    "95 % intervals: Student-t over seeds (of energies on the log scale), and Fieller’s for "
    "numbers of repetitions, which have no upper limit (∞) where the saving may be none; then the "
    "answer is undecided. A network whose {score} is worse than dense’s by more "
    "than the margin is not credited with any."
)


def _record(each: BreakEven, kind: str) -> Record:
    trainings, inferences = each.trainings, each.inferences
    return {
        "arm": each.arm,
        "training_j": each.training_j,
        "search_j": trainings.price_j if trainings else None,
        "saved_training_j": trainings.saving_j if trainings else None,
        **_answer("trainings", trainings),
        "recipe_above_dense_j": inferences.price_j if inferences else None,
        "saved_sample_j": inferences.saving_j if inferences else None,
        **_answer("inferences", inferences),
        "inference_j": energy_interval(each.each.energy_j.values()) if inferences else None,
        "inference_basis": inference_basis(each) if inferences else None,
        "energy_kind": kind,
    }


def _year(results: StudyResults, each: BreakEven) -> Record:
    """The energy of a year, if the study says how often a network is used."""
    count = inferences_per_year(results)
    if math.isnan(count) or each.inferences is None:
        return {"year_j": None, "year_ratio": None}
    arms = (each.arm, str(results.baseline_arm))
    ours, theirs = (
        lifetime(results, arm, used)
        for arm, used in zip(arms, inferences_of(results, *arms), strict=True)
    )
    return {"year_j": ours.energy_j(count), "year_ratio": lifetime_ratio(ours, theirs, count)}


def _answer(which: str, payback: Payback | None) -> Record:
    return {
        f"{which}_verdict": payback.verdict if payback else None,
        f"{which}_reason": payback.why if payback else None,
        f"{which}_to_break_even": _times(payback) if payback else None,
        f"{which}_estimate": payback.times if payback else None,
    }


def _times(payback: Payback) -> Interval:
    """How many repetitions, with their limits; 0 where there is no price."""
    if payback.verdict == "immediately":
        return Interval(0.0, math.nan, math.nan, 0)
    n = 1 if math.isnan(payback.low) else payback.saving_j.n
    mean = payback.times if payback.verdict in ("after", "until") else math.nan
    return Interval(mean, payback.low, payback.high, n)


def _of_trainings(found: Sequence[BreakEven], kind: str) -> Mapping[str, View]:
    known = [each.trainings for each in found if each.trainings]
    search = _in(energy_unit(each.price_j.mean for each in known), kind)
    training = _in(energy_unit(each.training_j.mean for each in found), kind)
    return {
        "search_j": View("Search", search),
        "training_j": View("Training the found network again", training),
        "saved_training_j": View("Saved each time", training),
        "trainings_to_break_even": _repetitions("Trainings to break even", "trainings"),
    }


def _of_inferences(found: Sequence[BreakEven], kind: str) -> Mapping[str, View]:
    known = [each.inferences for each in found if each.inferences]
    price = _in(energy_unit(each.price_j.mean for each in known), kind)
    saving = _in(sample_energy_unit(each.saving_j.mean for each in known), kind)
    whole = sample_energy_unit(value for each in found for value in each.each.energy_j.values())
    drawn = _in(whole, kind)
    return {
        "recipe_above_dense_j": View("Extra energy of the recipe", price),
        "inference_j": View("An inference", drawn),
        "saved_sample_j": View("Saved per inference", saving),
        "inferences_to_break_even": _repetitions("Inferences to break even", "inferences"),
    }


def _of_years(records: Sequence[Record], kind: str) -> Mapping[str, View]:
    years = [record["year_j"].mean for record in records if record["year_j"]]
    return {
        "year_j": View("Recipe and a year of use", _in(energy_unit(years), kind)),
        "year_ratio": View("The same relative to dense", show=relative),
    }


def _in(unit: Unit, kind: str) -> Unit:
    """The unit, with the kind of energy before its symbol where no sensor measured it."""
    return Unit(f"{kind}, {unit.symbol}" if kind else unit.symbol, unit.size)


def _repetitions(title: str, which: str) -> View:
    """The number with its interval, or the verdict with its reason."""
    number = View(title, show=repetitions)

    def text(row: Record) -> str | None:
        verdict = row[f"{which}_verdict"]
        if verdict == "until":
            return f"ahead until {repetitions(row[f'{which}_to_break_even'].mean)}"
        return None if verdict == "after" else verdict or MISSING

    def note(row: Record) -> str:
        verdict, times = row[f"{which}_verdict"], row[f"{which}_to_break_even"]
        if times is None:
            return ""
        reason, estimate = row[f"{which}_reason"], row[f"{which}_estimate"]
        parts = [number.ends(times), reason]
        if verdict not in ("after", "until") and not math.isnan(estimate):
            about = ", ".join(filter(None, [f"about {repetitions(estimate)}", parts[0]]))
            parts = [f"{reason}: {about}"]
        return "; ".join(filter(None, parts))

    return View(title, show=repetitions, text=text, note=note)
