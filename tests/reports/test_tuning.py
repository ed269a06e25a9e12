"""A tuned study's report: energy with tuning beside the plain one, and every trial."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from harness.results.tuning import tuning_costs
from reports.figures import tuning_sensitivity
from reports.statistics.summary import summarise
from reports.tables.headline import headline
from reports.tables.terminal import terminal_table
from reports.tables.tuning import tuning
from reports.text.units import energy_unit
from tests.reports.details import TRIALS, detailed
from tests.reports.synthetic import make

TUNING_J = 4321.0
"""Of every arm of a detailed study."""
ARMS = ["dense", "early_bird"]
PLAIN = make(ARMS)
TUNED = detailed(PLAIN)


def printed(table: object) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_energy_with_tuning_is_a_run_and_all_trials() -> None:
    by_arm = {str(row["arm"]): row for row in headline(summarise(TUNED)).records}
    for arm in ARMS:
        mean_j = np.mean(list(PLAIN.by_seed(arm, "energy_j").values()))
        assert by_arm[arm]["energy_j"].mean == pytest.approx(mean_j)
        assert by_arm[arm]["energy_with_tuning_j"] == pytest.approx(mean_j + TUNING_J)


def test_all_trials_of_an_arm_cost_but_those_for_another_method() -> None:
    trials = TUNED.tuning.assign(energy_j=1.0, uncertainty_j=0.5, gain_j=0.3)
    trials.loc[0, ["role", "energy_j"]] = "for another method", 100.0
    counts = trials[trials.index != 0]["arm"].value_counts()
    for arm, (energy_j, uncertainty_j) in tuning_costs(trials).items():
        assert energy_j == counts[arm]  # the failed one and the short ones included
        assert uncertainty_j == pytest.approx(np.hypot(0.3 * counts[arm], 0.4 * counts[arm] ** 0.5))
    assert counts["dense"] + 1 == counts["early_bird"] == len(TUNED.tuning) / 2


def test_both_energies_are_shown_where_something_was_tuned() -> None:
    shown = printed(terminal_table(summarise(TUNED)))
    assert "tuning" in shown
    for arm in summarise(TUNED).arms:
        assert energy_unit([arm.energy_with_tuning_j]).show(arm.energy_with_tuning_j) in shown
    assert f"{TRIALS} trials each" in " ".join(shown.split())
    plain = printed(terminal_table(summarise(PLAIN)))
    assert "tuning" not in plain
    assert "energy_with_tuning_j" in headline(summarise(TUNED)).view
    assert "energy_with_tuning_j" not in headline(summarise(PLAIN)).view


def test_the_figure_shows_every_finished_trial_and_rings_the_chosen() -> None:
    figured = tuning_sensitivity.draw(TUNED)
    assert figured is not None
    done = TUNED.tuning[TUNED.tuning["status"] == "done"]
    rates, schedules = figured.figure.axes
    assert (rates.get_xscale(), rates.get_xlabel()) == ("log", "learning_rate")
    assert [tick.get_text() for tick in schedules.get_xticklabels()] == ["cosine", "step"]
    drawn = sorted((line.get_xdata()[0], round(line.get_ydata()[0], 9)) for line in rates.lines)
    chosen = done[done["role"] == "chosen"]
    both = [*done.itertuples(), *chosen.itertuples()]  # a mark each, and a ring
    assert drawn == sorted((row.learning_rate, round(row.val_score * 100, 9)) for row in both)
    widest = max(rates.lines[: len(done)], key=lambda line: line.get_markersize())
    dearest = done.loc[done["energy_j"].idxmax()]
    assert widest.get_xdata()[0] == pytest.approx(dearest["learning_rate"])


def test_a_study_that_tunes_nothing_has_neither_table_nor_figure() -> None:
    assert tuning_sensitivity.draw(PLAIN) is None
    assert tuning(PLAIN) is None
