"""Validation accuracy on the way, averaged over seeds evaluation by evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics import t_interval

Array = npt.NDArray[np.float64]


def mean_curve(runs: dict[int, tuple[Array, Array]]) -> pd.DataFrame:
    """For each evaluation the mean energy, and the mean accuracy with its 95 % t interval.

    Seeds are matched by the number of the evaluation, not by energy: they prune after the same
    epoch but not after the same joule, and a mean at equal joules would mix networks from before
    and after. Ends with the seed that was evaluated least often.

    Args:
        runs: From a seed to its energies (J, ascending) and accuracies (0 to 1).
    """
    evaluations = min(len(energy_j) for energy_j, _ in runs.values())
    rows = []
    for number in range(evaluations):
        energy_j = float(np.mean([energy_j[number] for energy_j, _ in runs.values()]))
        mean = t_interval([float(accuracy[number]) for _, accuracy in runs.values()])
        rows.append((energy_j, mean.mean, mean.low, mean.high, mean.n))
    columns = ["energy_j", "val_accuracy", "val_accuracy_low", "val_accuracy_high", "n"]
    return pd.DataFrame(rows, columns=columns)
