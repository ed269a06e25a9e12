"""How accuracy grows as energy is spent: validation accuracy against joules so far."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.analysis.curves import Curves, mean_curve, run_curves
from reports.analysis.families import families
from reports.analysis.standing import standing_of
from reports.analysis.targets import SHARES, Reached, energy_to_targets, reference_accuracy
from reports.drawing import style
from reports.drawing.climb import Climb
from reports.figures.figured import Figured
from reports.wording import captions
from reports.wording.reached import listed, reached
from reports.wording.units import energy, fixed, percent

if TYPE_CHECKING:
    from reports.data import StudyResults

NAME = "accuracy_curves"
SEEDS, RUNS = 12, 120
"""Up to so many seeds an arm, and so many runs in all, each run is drawn."""
_TOLD = SHARES[1]
"""The target that the alternative text tells of."""
_CROWD = 12
"""From so many arms on, it tells of few."""


def draw(results: StudyResults) -> Figured | None:
    """Each arm's mean with its band, and every seed faint where they are few."""
    curves = run_curves(results)
    if not curves:
        return None
    means = {arm: mean_curve(runs) for arm, runs in curves.items()}
    counts = [len(runs) for runs in curves.values()]
    few = max(counts) <= SEEDS and sum(counts) <= RUNS
    single = curves if few else {}
    reference = reference_accuracy(results)
    found = energy_to_targets(results)
    floor = _floor(curves, reference)
    with style.printed():
        plot = Climb(
            results,
            single,
            means,
            reference=reference,
            floor=floor,
            tips={arm: _tip(arm, mean, found) for arm, mean in means.items()},
        )
    return Figured(
        plot.figure,
        _frame(single, means),
        _caption(results, plot, floor, few=few),
        _alt(results, means, found),
        plot.marks,
        brief=_brief(results),
        basis=captions.basis(results),
    )


def _floor(curves: Curves, reference: float) -> float:
    """Where the accuracy axis starts, as a share: the first evaluations may fall below it."""
    finals = [run.accuracy[-1] for runs in curves.values() for run in runs.values()]
    every = np.concatenate([run.accuracy for runs in curves.values() for run in runs.values()])
    best = float(max(finals))
    room = max(0.02, 1.5 * (best - min(*finals, float(np.quantile(every, 0.1)))))
    lowest: float = best - room
    if not math.isnan(reference):
        lowest = min(lowest, SHARES[0] * reference - 0.01)
    return max(0.0, math.floor(lowest * 50) / 50)


def _frame(single: Curves, means: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a step of each run that is drawn, then one row a step of each mean."""
    parts = [
        pd.DataFrame(
            {
                "kind": "run",
                "arm": arm,
                "seed": seed,
                "energy_j": run.energy_j,
                "val_accuracy": run.accuracy,
                "final_shape": np.arange(len(run)) >= run.shaped,
            }
        )
        for arm, runs in single.items()
        for seed, run in runs.items()
    ]
    parts += [mean.assign(kind="mean", arm=arm) for arm, mean in means.items()]
    columns = "kind arm seed n energy_j val_accuracy val_accuracy_low val_accuracy_high final_shape"
    frame = pd.concat(parts).reindex(columns=columns.split()).reset_index(drop=True)
    return frame.astype({"seed": "Int64", "n": "Int64"})


def _tip(arm: str, mean: pd.DataFrame, found: list[Reached]) -> str:
    end = mean.iloc[-1]
    text = f"{arm}, mean of {int(end['n'])}: {fixed(float(end['val_accuracy']) * 100, 1)} % "
    text += f"after {energy(float(end['energy_j']))}"
    told = [f"{percent(each.share)} %: {reached(each)}" for each in found if each.arm == arm]
    return f"{text}. Energy to {', to '.join(told)}" if told else text


def _caption(results: StudyResults, plot: Climb, floor: float, *, few: bool) -> str:
    text = (
        "Validation accuracy of the current network, not its best so far, against all "
        "energy spent since the run began. Thin: before the network has its final shape, when it "
        "is not yet the one that the method delivers; bold: from its last pruning or masking on. "
        "Lines are means over seeds, evaluation by evaluation, with their bands, to the arm's "
        "mark at the end."
    )
    parts = [text]
    parts.append("Faint: each run." if few else "Runs are too many to be drawn one by one.")
    if any(family.levels for family in families(results.finished_arms)):
        parts.append("Of arms that differ only in the share they prune, the darker prunes more.")
    if len(plot.panels) > 1:
        parts.append("The panels have the same axes and show the baseline's mean each.")
    if not math.isnan(reference_accuracy(results)):
        parts.append(
            f"Dashed: {listed(map(percent, SHARES))} % of the accuracy that "
            f"{results.baseline_arm} ends with; in the table only bold lines can reach it."
        )
    if floor > 0:
        parts.append(f"The accuracy axis starts at {fixed(floor * 100, 0)} %.")
    if plot.log:
        parts.append("The energy axis is logarithmic.")
    return " ".join(parts)


def _brief(results: StudyResults) -> str:
    text = (
        "Validation accuracy of the current network against energy spent so far: means over seeds "
        "with 95 % bands. Bold: the network has its final shape."
    )
    return f"{text} {captions.short_basis(results)}"


def _alt(results: StudyResults, means: dict[str, pd.DataFrame], found: list[Reached]) -> str:
    """What each arm comes to; of many, only the baseline and the first at a target."""
    adjective = standing_of(results.finished).adjective
    text = f"Curves of validation accuracy against {adjective} energy so far."
    at = {each.arm: each for each in found if each.share == _TOLD and each.energy_j.n}
    arms = list(means)
    if len(arms) > _CROWD:
        first = min(at, key=lambda arm: at[arm].energy_j.mean, default=None)
        arms = [arm for arm in arms if arm in (results.baseline_arm, first)]
    for arm in arms:
        end = means[arm].iloc[-1]
        text += f" {arm} ends at {fixed(float(end['val_accuracy']) * 100, 1)} %"
        text += f" after {energy(float(end['energy_j']))}"
        if arm in at:
            text += f" ({percent(_TOLD)} % of {results.baseline_arm} at {reached(at[arm])})"
        text += "."
    return text
