"""Reads the trials of a tuned study: their scores on validation data, and what was chosen.

Trials are runs of a study of its own in the folder `tuning` of the study that they tune. All here
follows from their records, so that a resumed study comes to the same choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.settings.tuning import TuningSettings
from harness.study.trials import trial_number, tuned_arm

if TYPE_CHECKING:
    import pandas as pd

Scored = Callable[[int, int], float | None]
"""The score of a trial by its number and epochs, higher where better; None if it failed."""


def rungs(
    lengths: Sequence[int], trials: Sequence[int], scored: Scored
) -> Iterator[tuple[int, list[int]]]:
    """Successive halving (Jamieson & Talwalkar, AISTATS 2016), by a factor of 2.

    Args:
        lengths: Epochs of the trials of each rung.
        trials: Numbers of the trials of the first.
        scored: Finds the score of a trial, which is asked for once the next rung is.

    Yields:
        Of each rung the epochs, and the numbers of the trials that compete: the better half of
        those before, of an odd count with the middle one.
    """
    alive = list(trials)
    for length in lengths:
        yield length, alive
        order = ranked(alive, length, scored)
        alive = sorted(order[: (len(order) + 1) // 2])


def ranked(trials: Sequence[int], length: int, scored: Scored) -> list[int]:
    """Numbers of trials, the best first: ties to the earlier, failed ones last."""
    scores = {number: scored(number, length) for number in trials}
    return sorted(trials, key=lambda n: (math.inf if (s := scores[n]) is None else -s, n))


def validation_score(run: RunFolder) -> float | None:
    """The final score of a trial on validation data, higher where better; None unless it is done.

    What it found on test data is not looked at.
    """
    journal = Journal(run)
    results = journal.events("result")
    score = results[-1].get("val_score") if results and journal.status == "done" else None
    return None if score is None else journal.metric.sign * float(score)


ROLES = ("trial", "chosen", "for another method")
"""Whether a trial competed, won, or was trained anew only because another method builds on it."""
_FROM_RUN = (
    *("status", "val_score", "energy_j", "uncertainty_j", "gain_j", "energy_source"),
    "duration_s",
)
COLUMNS = ("arm", "trial", "epochs", "role", *_FROM_RUN)
"""Columns of the table of trials, before one for each key that was tuned."""


def read_tuning(
    folder: StudyFolder, settings: Mapping[str, Any], labels: Mapping[str, str]
) -> pd.DataFrame:
    """One row per trial that was begun, by arm, length and number; no row without tuning.

    Args:
        folder: The study's folder.
        settings: The study as it was run.
        labels: From an arm of the study to its label in its tables.
    """
    import pandas as pd

    # They import numpy, which `status` does without.
    from harness.results.carbon import StudyCarbon
    from harness.results.gather import gather

    tuning = TuningSettings.model_validate(settings.get("tuning", {}))
    specs = [(run, run.read_spec()) for run in folder.tuning.runs()] if tuning.space else []
    jobs = [(run, spec, tuned_arm(spec)) for run, spec in specs if tuned_arm(spec) in labels]
    rows: dict[str, dict[tuple[int, int], dict[str, Any]]] = {arm: {} for arm in labels}
    for (run, spec, arm), read in zip(jobs, gather(jobs, StudyCarbon(folder)), strict=True):
        rows[arm][trial_number(spec), spec.training.epochs] = {
            "arm": labels[arm],
            "trial": trial_number(spec),
            "epochs": spec.training.epochs,
            "role": ROLES[2],
            **{column: read.run[column] for column in _FROM_RUN},
            **{key: _plain(getattr(spec.training, key)) for key in tuning.space},
            "score": validation_score(run),
        }
    for trials in rows.values():
        if trials:
            _judge(trials, tuning.lengths(settings["training"]["epochs"]))
    listed = [row for trials in rows.values() for _, row in sorted(trials.items(), key=_by_length)]
    return pd.DataFrame(listed, columns=[*COLUMNS, *tuning.space])


def _by_length(item: tuple[tuple[int, int], Any]) -> tuple[int, int]:
    number, length = item[0]
    return length, number


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, tuple) else value


def _judge(rows: Mapping[tuple[int, int], dict[str, Any]], lengths: Sequence[int]) -> None:
    """Note of each trial of an arm whether it competed, and which was chosen."""

    def scored(number: int, length: int) -> float | None:
        found: float | None = rows[number, length]["score"]
        return found

    first = sorted(number for number, length in rows if length in lengths[:1])
    for length, competing in rungs(lengths, first, scored):
        present = [number for number in competing if (number, length) in rows]
        for number in present:
            rows[number, length]["role"] = ROLES[0]
        ended = all(rows[n, length]["status"] in ("done", "failed") for n in present)
        if len(present) < len(competing) or not ended:
            return
        if length == lengths[-1]:
            rows[ranked(competing, length, scored)[0], length]["role"] = ROLES[1]


def tuning_costs(trials: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Energy of all trials of an arm and its uncertainty (95 %), by the arm's label.

    The accuracy of a sensor is the same in all trials, so that it adds up; the rest is independent.
    """
    found = {}
    own = trials[trials["role"] != ROLES[2]].astype(
        {"energy_j": float, "uncertainty_j": float, "gain_j": float}
    )
    for arm, rows in own.groupby("arm", sort=False):
        gain_j = float(rows["gain_j"].sum(skipna=False))
        rest = float((rows["uncertainty_j"] ** 2 - rows["gain_j"] ** 2).sum(skipna=False))
        uncertainty_j = math.sqrt(gain_j**2 + max(rest, 0.0))
        found[str(arm)] = float(rows["energy_j"].sum(skipna=False)), uncertainty_j
    return found
