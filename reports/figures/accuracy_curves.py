"""How accuracy grows as energy is spent: validation accuracy against joules so far."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from reports import captions, labels, style
from reports.figures.curves import Array, mean_curve
from reports.figures.figured import Figured
from reports.standing import Standing, standing_of
from reports.units import Unit, energy_unit, fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reports.data import StudyResults

NAME = "accuracy_curves"

Runs = dict[int, tuple[Array, Array]]


def draw(results: StudyResults) -> Figured:
    """Each arm's mean with its band, and every seed faint."""
    runs = _runs_by_arm(results)
    means = {arm: mean_curve(seeds) for arm, seeds in runs.items()}
    floor = _floor(runs)
    with style.printed():
        figure = _draw(results, runs, means, floor)
    zoom = f"The accuracy axis starts at {fixed(floor * 100, 0)} %. " if floor > 0 else ""
    caption = (
        "Validation accuracy of the network of the moment against all energy spent since the run "
        "began, search and retraining included; pruning and rewinding set it back. Bold: the mean "
        "over seeds at each evaluation, with its band, to the arm's mark at the end. Faint: each "
        "run. "
        f"{zoom}{captions.seeds(results)} {captions.provenance(results)}"
    )
    adjective = standing_of(results.finished).adjective
    alt = (
        f"Curves of validation accuracy against {adjective} energy so far, "
        f"for {', '.join(runs) or 'no arm'}."
    )
    return Figured(figure, _frame(runs, means), caption, alt)


def _runs_by_arm(results: StudyResults) -> dict[str, Runs]:
    """Energies and accuracies of each finished run, in order, by arm and seed."""
    rows = results.of_finished(results.curves).dropna(subset=["energy_j", "val_accuracy"])
    rows = rows.sort_values("order", kind="stable")
    runs: dict[str, Runs] = {}
    for arm in results.finished_arms:
        of_arm = rows[rows["arm"] == arm]
        seeds = {
            int(seed): (
                of_seed["energy_j"].to_numpy(dtype=float),
                of_seed["val_accuracy"].to_numpy(dtype=float),
            )
            for seed, of_seed in ((s, of_arm[of_arm["seed"] == s]) for s in of_arm["seed"].unique())
        }
        if seeds:
            runs[arm] = dict(sorted(seeds.items()))
    return runs


def _floor(runs: dict[str, Runs]) -> float:
    """Where the accuracy axis starts, as a share: the first evaluations may fall below it."""
    finals = [accuracy[-1] for seeds in runs.values() for _, accuracy in seeds.values()]
    every = [a for seeds in runs.values() for _, accuracy in seeds.values() for a in accuracy]
    if not finals:
        return 0.0
    tenth = float(np.quantile(every, 0.1))
    room = max(0.02, 1.5 * (max(finals) - min(*finals, tenth)))
    return max(0.0, float(np.floor((max(finals) - room) * 50) / 50))


def _frame(runs: dict[str, Runs], means: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a step of each run, then one row a step of each mean."""
    parts = [
        pd.DataFrame(
            {"kind": "run", "arm": arm, "seed": seed, "energy_j": energy, "val_accuracy": accuracy}
        )
        for arm, seeds in runs.items()
        for seed, (energy, accuracy) in seeds.items()
    ]
    parts += [mean.assign(kind="mean", arm=arm) for arm, mean in means.items()]
    columns = "kind arm seed n energy_j val_accuracy val_accuracy_low val_accuracy_high"
    frame = pd.concat(parts) if parts else pd.DataFrame()
    frame = frame.reindex(columns=columns.split()).reset_index(drop=True)
    return frame.astype({"seed": "Int64", "n": "Int64"})


def _draw(
    results: StudyResults, runs: dict[str, Runs], means: dict[str, pd.DataFrame], floor: float
) -> Figure:
    standing = standing_of(results.finished)
    styles = style.arm_styles(results.arms, results.baseline_arm)
    unit = energy_unit(energy[-1] for seeds in runs.values() for energy, _ in seeds.values())
    figure = Figure(figsize=(style.WIDTH_IN, 4.1), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Accuracy as energy is spent")
    axes.set_xlabel(f"{standing.axis} spent so far ({unit.symbol})")
    axes.set_ylabel("Validation accuracy (%)")
    style.watermark(figure, standing)
    for arm, seeds in runs.items():
        for energy, accuracy in seeds.values():
            x, y = energy / unit.size, accuracy * 100
            axes.plot(x, y, color=styles[arm].colour, lw=0.6, alpha=0.25)
        _draw_mean(axes, means[arm], styles[arm], unit, standing)
    top = max((a.max() for seeds in runs.values() for _, a in seeds.values()), default=1.0)
    axes.set_ylim(floor * 100, min(100.0, top * 100 + (top - floor) * 9))
    axes.set_xlim(left=0)
    labels.freeze(figure)
    ends = {arm: mean.iloc[-1] for arm, mean in means.items()}
    anchors = [
        labels.Anchor(
            labels.wrapped(arm, 28),
            float(end["energy_j"]) / unit.size,
            float(end["val_accuracy"]) * 100,
            styles[arm].ink,
        )
        for arm, end in ends.items()
    ]
    if runs and not labels.place(axes, anchors, _obstacles(axes, runs, unit)):
        handles = [
            Line2D([], [], color=look.colour, ls=look.line, marker=look.marker, ms=5)
            for look in (styles[arm] for arm in runs)
        ]
        labels.legend_below(figure, handles, list(runs))
    return figure


def _draw_mean(
    axes: Axes, mean: pd.DataFrame, look: style.ArmStyle, unit: Unit, standing: Standing
) -> None:
    """The mean's line and band, with the arm's mark at its end."""
    x = mean["energy_j"].to_numpy(dtype=float) / unit.size
    y = mean["val_accuracy"].to_numpy(dtype=float) * 100
    low = mean["val_accuracy_low"].to_numpy(dtype=float) * 100
    high = mean["val_accuracy_high"].to_numpy(dtype=float) * 100
    axes.fill_between(x, low, high, color=look.colour, alpha=0.14, lw=0)
    axes.plot(x, y, color=look.colour, ls=look.line, lw=1.7)
    face = look.colour if standing.measured else "white"
    axes.plot(
        *(x[-1], y[-1], look.marker),
        ms=6,
        mfc=face,
        mec=look.colour,
        mew=1.4,
        zorder=3,
        clip_on=False,
    )


def _obstacles(axes: Axes, runs: dict[str, Runs], unit: Unit) -> list[Bbox]:
    """Every seed's line as a row of small boxes in display coordinates."""
    boxes = []
    for seeds in runs.values():
        for energy, accuracy in seeds.values():
            corners = axes.transData.transform(
                np.column_stack([energy / unit.size, accuracy * 100])
            )
            for start, end in pairwise(corners):
                pieces = max(2, int(np.hypot(*(end - start)) / 6))
                for x, y in np.linspace(start, end, pieces):
                    boxes.append(Bbox.from_extents(x, y, x, y).padded(3))
    return boxes
