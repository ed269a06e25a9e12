"""Validation accuracy as energy is spent: of each run, and averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.analysis.once import once
from reports.analysis.statistics import share_interval

if TYPE_CHECKING:
    from reports.data import StudyResults

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RunCurve:
    """One run's evaluations on validation data, in order.

    Attributes:
        energy_j: All energy spent on the run until each, ascending, shape (evaluations,).
        accuracy: Of the network at that moment, 0 to 1, shape (evaluations,).
        shaped: How many came before the network had its final shape, that is before its last
            pruning or masking.
    """

    energy_j: Array
    accuracy: Array
    shaped: int

    def __len__(self) -> int:
        return len(self.energy_j)


Curves = dict[str, dict[int, RunCurve]]
"""By arm and seed."""


@once
def run_curves(results: StudyResults) -> Curves:
    """The curve of each finished run that was evaluated while its energy was known."""
    rows = results.of_finished(results.curves).dropna(subset=["energy_j", "val_accuracy"])
    rows = rows.sort_values(["seed", "order"], kind="stable")
    searched = _search_epochs(results)
    found: Curves = {arm: {} for arm in results.finished_arms}
    for _, of_run in rows.groupby(["arm", "seed"], sort=False):
        arm, seed = str(of_run["arm"].iloc[0]), int(of_run["seed"].iloc[0])
        found[arm][seed] = RunCurve(
            of_run["energy_j"].to_numpy(dtype=float),
            of_run["val_accuracy"].to_numpy(dtype=float),
            _shaped(of_run, searched.get((arm, seed))),
        )
    return {arm: seeds for arm, seeds in found.items() if seeds}


def _search_epochs(results: StudyResults) -> dict[tuple[str, int], float]:
    """Epochs trained when a run's network got its final shape, where the results tell."""
    runs = results.finished
    if "search_epochs" not in runs:
        return {}
    told = runs.dropna(subset=["search_epochs"])
    return {
        (str(arm), int(seed)): float(epochs)
        for arm, seed, epochs in zip(told["arm"], told["seed"], told["search_epochs"], strict=True)
    }


def _shaped(of_run: pd.DataFrame, search_epochs: float | None) -> int:
    if search_epochs is not None:
        return int((of_run["epochs_trained"] <= search_epochs).sum())
    # Older results do not tell, but no method changes the network within its last phase alone.
    other = np.flatnonzero((of_run["phase"] != of_run["phase"].iloc[-1]).to_numpy())
    return int(other[-1]) + 1 if len(other) else 0


def mean_curve(runs: Mapping[int, RunCurve]) -> pd.DataFrame:
    """For each evaluation the mean energy, and the mean accuracy with its 95 % interval.

    Seeds are matched by the number of the evaluation, not by energy: they prune after the same
    epoch but not after the same joule, and a mean at equal joules would mix networks from before
    and after. It is counted from the start before a network has its final shape, and from the end
    after: a search may end in another epoch with another seed. Evaluations that a seed lacks in
    either part are left out.

    Args:
        runs: By seed; at least one.

    Returns:
        Columns `energy_j`, `val_accuracy`, `val_accuracy_low`, `val_accuracy_high`, `n` and
        `final_shape`: whether every network had its final shape.
    """
    before = min(run.shaped for run in runs.values())
    after = min(len(run) - run.shaped for run in runs.values())
    places = [*range(before), *range(-after, 0)]
    energy_j = np.stack([run.energy_j[places] for run in runs.values()])
    accuracy = np.stack([run.accuracy[places] for run in runs.values()])
    means = [share_interval(column) for column in accuracy.T.tolist()]
    return pd.DataFrame(
        {
            "energy_j": energy_j.mean(axis=0),
            "val_accuracy": [mean.mean for mean in means],
            "val_accuracy_low": [mean.low for mean in means],
            "val_accuracy_high": [mean.high for mean in means],
            "n": [mean.n for mean in means],
            "final_shape": [place < 0 for place in places],
        }
    )


def thinned(values: Array, count: int) -> npt.NDArray[np.int64]:
    """The places of at most about `count` values that show a curve as all of them would.

    The ends stay, and of each of `count` / 2 equal stretches its lowest and its highest value, so
    that no drop is lost.
    """
    if len(values) <= count:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), max(count // 2 - 1, 1)):
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    return np.array(sorted(kept))
