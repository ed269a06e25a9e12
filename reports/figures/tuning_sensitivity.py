"""Sensitivity to the recipe: the validation score of each trial against each tuned key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import set_log_ticks
from reports.plotting.svg_ids import Marks
from reports.statistics.energy_kind import standing_of
from reports.text import captions
from reports.text.scores import Shown
from reports.text.tuning import tuning_note
from reports.text.units import energy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from reports.data import StudyResults
    from reports.statistics.energy_kind import EnergyKinds

NAME = "tuning_sensitivity"
_LEAST_PT, _MOST_PT = 3.5, 12.5
"""Diameters of the marks of no energy and of the trial that used the most."""
_LOG_FROM = 10.0
"""From this ratio of the largest value to the least, the axis of a key is logarithmic."""
MAX_KEYS = 6


@dataclass(frozen=True)
class _Drawn:
    """What all marks share; `epochs` is the full length."""

    looks: Mapping[str, style.ArmStyle]
    shown: Shown
    standing: EnergyKinds
    epochs: int


def draw(results: StudyResults) -> Figured | None:
    """A panel per tuned key; None without a finished trial."""
    trials = results.tuning
    done = trials[(trials["status"] == "done") & trials["val_score"].notna()]
    keys = results.tuned_keys[:MAX_KEYS]
    if done.empty or not keys:
        return None
    done = done.assign(energy_j=done["energy_j"].astype(float))
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, done, keys, marks)
    shown, standing = Shown(results.metric), standing_of(done)
    hollow = "" if standing.measured else f"Hollow because the energy is {standing.adjective}. "
    left_out = len(results.tuned_keys) - len(keys)
    more = f"Shown are the first {MAX_KEYS} keys; {left_out} are left out. " if left_out else ""
    caption = (
        f"Validation {shown.name} of each trial against each tuned key of the recipe; the other "
        "keys differ, too. The area of a mark grows with the trial's energy; faint marks trained "
        "for fewer epochs; a ring marks the chosen recipe. "
        f"{tuning_note(results.trials)} {more}{hollow}"
    )
    brief = (
        f"Validation {shown.name} of every trial against each tuned key. Area: energy of the "
        f"trial; ring: the chosen recipe. {standing.adjective.capitalize()} energy."
    )
    alt = f"Validation {shown.name} of the trials of each method by {', '.join(keys)}. " + " ".join(
        _in_words(str(arm), rows, keys, shown) for arm, rows in done.groupby("arm", sort=False)
    )
    frame = done[["arm", "trial", "epochs", "role", *keys, "val_score", "energy_j"]]
    share = (done["uncertainty_j"].astype(float) / done["energy_j"]).median()
    counted = (
        f"{len(done)} finished trials, one seed each: no interval. Uncertainty of measuring the "
        f"energy of a trial (95 %): ± {share:.1%}, the median."
    )
    return Figured(
        *(figure, frame.reset_index(drop=True), " ".join(caption.split()), alt, marks),
        brief=brief,
        basis=f"{counted} {captions.provenance(results)}",
    )


def _in_words(arm: str, rows: pd.DataFrame, keys: list[str], shown: Shown) -> str:
    """The range of an arm's scores, and what it chose."""
    ends = [shown.text(score) for score in (rows["val_score"].min(), rows["val_score"].max())]
    text = f"{arm}: {' to '.join(dict.fromkeys(ends))}"
    for row in rows[rows["role"] == "chosen"].to_dict("records"):
        text += ", chosen with " + ", ".join(f"{key} {_value(row[key])}" for key in keys)
    return f"{text}."


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _draw(results: StudyResults, done: pd.DataFrame, keys: list[str], marks: Marks) -> Figure:
    standing, shown = standing_of(done), Shown(results.metric)
    kind = "" if standing.measured else f" (area: {standing.adjective} energy)"
    looks = style.arm_styles(results.arms, results.baseline_arm)
    columns = style.fitting_columns(min(len(keys), 3))
    rows = math.ceil(len(keys) / columns)
    height_in = 2.8  # for the longest name of a score beside the axis
    figure = Figure(figsize=(style.width_in(), 0.7 + rows * height_in), layout="constrained")
    style.set_title(figure, f"Sensitivity to the recipe{kind}")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for empty in grid[len(keys) :]:
        empty.remove()
    style.watermark(figure, standing)
    drawn = _Drawn(looks, shown, standing, int(done["epochs"].max()))
    size = _sizes(done["energy_j"])
    grid[0].margins(y=0.1)  # room for the marks and rings at both ends; all panels share it
    for number, (key, axes) in enumerate(zip(keys, grid, strict=False)):
        places = _scaled(axes, done[key])
        axes.set_xlabel(key)
        if number % columns == 0:
            axes.set_ylabel(shown.axis("Validation"))
        for place, points, row in zip(places, size, done.to_dict("records"), strict=True):
            _mark(axes, place, points, row, drawn, marks)
    arms = [arm for arm in results.arms if arm in set(done["arm"])]
    handles = [
        Line2D([], [], marker=looks[arm].marker, ls="", ms=6, mew=1.3, mec=looks[arm].shaded,
               mfc=looks[arm].shaded if standing.measured else "white")
        for arm in arms
    ]  # fmt: skip
    labels.legend_below(figure, handles, arms)
    return figure


def _sizes(energies_j: pd.Series) -> list[float]:
    """Diameters in points, whose squares are linear in the energy."""
    most = energies_j.max()
    shares = [joules / most if most > 0 and joules > 0 else 0.0 for joules in energies_j]
    return [math.sqrt(_LEAST_PT**2 + (_MOST_PT**2 - _LEAST_PT**2) * share) for share in shares]


def _scaled(axes: Axes, values: pd.Series) -> list[float]:
    """Scale the axis of a key to its values; where each of them stands on it."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        texts = values.map(str)
        names = sorted(set(texts))
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return [float(names.index(text)) for text in texts]
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.5, high * 1.5)
        set_log_ticks(axes.xaxis, low / 1.5, high * 1.5)
    else:
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return [float(value) for value in values]


def _mark(
    axes: Axes, place: float, points: float, row: Mapping[Any, Any], drawn: _Drawn, marks: Marks
) -> None:
    """One trial, with a ring around it if it was chosen."""
    look = drawn.looks[row["arm"]]
    score = row["val_score"] * drawn.shown.metric.factor
    colour = look.shaded if row["epochs"] == drawn.epochs else look.faint
    [mark] = axes.plot(
        *([place], [score], look.marker),
        ms=points,
        mew=1.3,
        mec=colour,
        mfc=colour if drawn.standing.measured else "none",
        zorder=3 if row["epochs"] == drawn.epochs else 2,
    )
    tip = (
        f"{row['arm']}, trial {row['trial']} of {row['epochs']} epochs: "
        f"{drawn.shown.text(row['val_score'])}, {energy(row['energy_j'])}"
    )
    marks.add(mark, row["arm"], tip)
    if row["role"] == "chosen":
        [ring] = axes.plot(
            [place], [score], "o", ms=points + 5, mew=1.0, mec=look.ink, mfc="none", zorder=4
        )
        marks.add(ring, row["arm"], f"{tip}; chosen")
