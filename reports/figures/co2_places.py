"""What the same energy would emit elsewhere: CO2e of each arm by place, computed, not measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from reports.analysis.standing import Standing, standing_of
from reports.analysis.statistics import Interval, energy_interval
from reports.drawing import labels, style
from reports.drawing.marks import Marks
from reports.figures.figured import Figured
from reports.wording import captions
from reports.wording.places import bases, is_direct_only, place_name
from reports.wording.uncertainty import measurement_uncertainty
from reports.wording.units import fixed, mass_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reports.data import StudyResults

NAME = "co2_places"

_JOULES_PER_KWH = 3.6e6
_ROW_IN = 0.24
_CROWD = 6
"""More arms than this stand on three lanes in each row, neighbours on different ones."""
_TIPS = 300
"""Up to so many dots, each is an artist of its own that tells of itself."""


def draw(results: StudyResults) -> Figured | None:
    """A row a place, a mark an arm; None without places or without a known energy."""
    places = _places(results)
    energies = {
        arm: energy_interval(results.by_seed(arm, "energy_j").values())
        for arm in results.finished_arms
    }
    # What is not above zero has no place on a logarithmic axis.
    energies = {arm: each for arm, each in energies.items() if each.mean > 0}
    places = places[places["kg_per_kwh"] > 0]
    if places.empty or not energies:
        return None
    frame = _frame(places, energies)
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, places, frame, marks)
    standing = standing_of(results.finished)
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    listed = zip(places["role"], places["basis"], strict=True)
    mixed = {is_direct_only(basis) for basis in places["basis"]} == {True, False}
    caption = (
        "CO2e of one run, the mean energy of each arm times the factor of a place (on the right, "
        "PUE included): computed from the same energy, not measured there. Places stand in the "
        "order of their factors; in bold, here and where the study asks for. "
        f"Factors: {bases(listed)}. "
        f"{'* Direct emissions alone, hence not comparable with the others. ' if mixed else ''}"
        f"{_counted_otherwise(results, places)}{hollow}{captions.provenance(results)} "
        f"{measurement_uncertainty(results)} It carries over to the CO2e of every place. "
        f"{captions.seeds(results)} The intervals of the energy are not drawn."
    )
    return Figured(figure, frame, " ".join(caption.split()), _alt(places, frame), marks)


def _places(results: StudyResults) -> pd.DataFrame:
    """The places by rising factor, each once, with what to call them."""
    rank = {"here": 0, "also": 1}
    places = results.places.assign(
        rank=results.places["role"].map(rank).fillna(2),
        name=[
            place_name(str(place), str(role), str(basis))
            for place, role, basis in zip(
                results.places["place"],
                results.places["role"],
                results.places["basis"],
                strict=True,
            )
        ],
    )
    places = places.sort_values("rank", kind="stable").drop_duplicates("basis")
    return places.sort_values(["kg_per_kwh", "rank"], kind="stable").reset_index(drop=True)


def _frame(places: pd.DataFrame, energies: dict[str, Interval]) -> pd.DataFrame:
    """One row a place and arm."""
    rows = [
        {
            **{key: place[key] for key in ("place", "name", "role", "kg_per_kwh", "basis")},
            "arm": arm,
            "n": energy.n,
            "energy_j": energy.mean,
            **{
                f"co2e_kg{end}": value / _JOULES_PER_KWH * place["kg_per_kwh"]
                for end, value in (("", energy.mean), ("_low", energy.low), ("_high", energy.high))
            },
        }
        for place in places.to_dict("records")
        for arm, energy in energies.items()
    ]
    return pd.DataFrame(rows)


def _counted_otherwise(results: StudyResults, places: pd.DataFrame) -> str:
    """A word where the tables count by another factor than the one drawn here."""
    here = places.loc[places["role"] == "here", "basis"].tolist()
    used = captions.words(results.finished["carbon_basis"])
    if not here or used == here:
        return ""
    return f"The tables count the runs by another basis: {'; '.join(used)}. "


def _alt(places: pd.DataFrame, frame: pd.DataFrame) -> str:
    """The range over places, and each arm's CO2e at both ends."""
    first, last = places["name"].iloc[0], places["name"].iloc[-1]
    times = places["kg_per_kwh"].iloc[-1] / places["kg_per_kwh"].iloc[0]
    told = []
    for arm, rows in frame.groupby("arm", sort=False):
        low, high = _mass(rows["co2e_kg"].iloc[0]), _mass(rows["co2e_kg"].iloc[-1])
        told.append(f"{arm}: {low} to {high}.")
    return (
        f"CO2e of one run of each arm by place, from {first} to {last}, "
        f"{fixed(times, 1)} times as much. {' '.join(told)}"
    )


def _mass(kg: float) -> str:
    unit = mass_unit([kg])
    return f"{unit.show(kg)} {unit.symbol}"


def _draw(results: StudyResults, places: pd.DataFrame, frame: pd.DataFrame, marks: Marks) -> Figure:
    standing = standing_of(results.finished)
    arms = list(dict.fromkeys(frame["arm"]))
    lanes = _lanes(frame)
    height_in = 0.95 + _ROW_IN * len(places) * (1.7 if any(lanes.values()) else 1)
    figure = Figure(figsize=(style.WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots()
    axes.set_title("The same energy elsewhere")
    kind = "" if standing.measured else f", from {standing.adjective} energy"
    axes.set_xlabel(f"CO2e of one run{kind} (log scale)")
    style.watermark(figure, standing)
    _set_axes(axes, frame["co2e_kg"] * 1e3)
    _draw_rows(axes, places, frame)
    looks = style.arm_styles(results.arms, results.baseline_arm)
    handles = []
    rows_of = {place: row for row, place in enumerate(places["place"])}
    for arm in arms:
        own = frame[frame["arm"] == arm]
        handles.append(_dots(looks[arm], standing))
        parts = [own.iloc[[n]] for n in range(len(own))] if len(frame) <= _TIPS else [own]
        for part in parts:
            dots = _dots(looks[arm], standing)
            heights = part["place"].map(rows_of) + lanes[arm]
            dots.set_data((part["co2e_kg"] * 1e3).tolist(), heights.tolist())
            axes.add_line(dots)
            tip = ""
            if len(part) == 1:
                tip = f"{arm}, {part['name'].iloc[0]}: {_mass(part['co2e_kg'].iloc[0])} CO2e"
            marks.add(dots, arm, tip)
    labels.legend_below(figure, handles, arms)
    for handle, text, arm in zip(
        figure.legends[0].legend_handles, figure.legends[0].get_texts(), arms, strict=True
    ):
        if handle is not None:
            marks.add(handle, arm)
        marks.add(text, arm)
    return figure


def _lanes(frame: pd.DataFrame) -> dict[str, float]:
    """How far below its row's middle each arm stands, in rows."""
    order = frame.drop_duplicates("arm").sort_values("energy_j")["arm"]
    crowded = len(order) > _CROWD
    return {arm: 0.24 * (rank % 3 - 1) if crowded else 0.0 for rank, arm in enumerate(order)}


def _set_axes(axes: Axes, grams: pd.Series) -> None:
    """A logarithmic axis in grams with room at both ends, and few ticks."""
    low, high = float(grams.min()), float(grams.max())
    room = max(1.25, (high / low) ** 0.04)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    decades = math.log10(high / low) + 2 * math.log10(room)
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(EngFormatter("g"))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_rows(axes: Axes, places: pd.DataFrame, frame: pd.DataFrame) -> None:
    """A line a place under its marks, its name on the left and its factor on the right."""
    names = []
    for row, place in enumerate(places.to_dict("records")):
        values = frame.loc[frame["place"] == place["place"], "co2e_kg"] * 1e3
        ends = [values.min(), values.max()]
        axes.plot(ends, [row, row], color="#d5d5d5", lw=1.2, zorder=1)
        if place["role"] == "here":
            axes.axhspan(row - 0.5, row + 0.5, color="#f1efe6", lw=0, zorder=0)
        names.append(
            labels.wrapped(place["name"], 34) + (" *" if is_direct_only(place["basis"]) else "")
        )
        axes.annotate(
            f"{fixed(place['kg_per_kwh'] * 1e3, 0)} g/kWh",
            (1.0, row),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=style.MUTED,
        )
    axes.set_yticks(range(len(places)), names)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for text, role in zip(axes.get_yticklabels(), places["role"], strict=True):
        text.set_fontweight("normal" if role == "reference" else "bold")


def _dots(look: style.ArmStyle, standing: Standing) -> Line2D:
    """An arm's marks, without a place yet: hollow unless a sensor measured every energy."""
    face = look.shaded if standing.measured else "white"
    dots = Line2D([], [], ls="", marker=look.marker, ms=5.5, zorder=2.5)
    dots.set(mfc=face, mec="white" if standing.measured else look.shaded)
    dots.set_markeredgewidth(0.5 if standing.measured else 1.3)
    return dots
