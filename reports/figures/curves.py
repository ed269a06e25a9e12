"""Validation accuracy as a step function of the energy spent, averaged over seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics import t_interval

Array = npt.NDArray[np.float64]


def held(energy_j: Array, accuracy: Array, at_j: Array) -> Array:
    """The newest accuracy known at each energy: it holds until the next evaluation.

    `energy_j` must ascend; every `at_j` must be at or after its first value.
    """
    return accuracy[np.searchsorted(energy_j, at_j, side="right") - 1]


def mean_curve(runs: dict[int, tuple[Array, Array]]) -> pd.DataFrame:
    """The mean over seeds with its 95 % t interval, where every seed has been evaluated.

    `runs` maps a seed to its energies (J, ascending) and accuracies. The grid holds every
    seed's evaluations between the last seed's first and the first seed's last, so that the
    mean of the step functions is exact. Empty if the seeds share no range.
    """
    start = max(energy_j[0] for energy_j, _ in runs.values())
    stop = min(energy_j[-1] for energy_j, _ in runs.values())
    grid = np.unique(np.concatenate([energy_j for energy_j, _ in runs.values()]))
    grid = grid[(grid >= start) & (grid <= stop)]
    values = np.array([held(energy_j, accuracy, grid) for energy_j, accuracy in runs.values()])
    rows = []
    for at_j, column in zip(grid, values.T, strict=True):
        mean = t_interval(column)
        rows.append((at_j, mean.mean, mean.low, mean.high, mean.n))
    columns = ["energy_j", "val_accuracy", "val_accuracy_low", "val_accuracy_high", "n"]
    return pd.DataFrame(rows, columns=columns)
