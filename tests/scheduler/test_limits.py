"""Limits of energy and time: a run and a study end in order, and go on under a higher limit."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import harness as public
from harness.cli.study_commands import ENERGY, TIME, Amount
from harness.results.folder import RunFolder
from harness.scheduler.limits import Budgets, Guard, Intruders, Spent
from harness.scheduler.run_process import StopRun
from harness.settings.settings import Limits
from tests.energy.traces import SECOND, encode, header, sensor
from tests.results.test_resume import POWER_W, SPECS, attempt, start
from tests.scheduler.started import called

WORDS = (
    *("--seed", "0", "--set", "training.epochs=12"),
    *("--set", "workload.train_samples=720", "--no-report"),
)
ENDLESS = """
from harness import Method, Train
class Endless(Method):
    '''Train for ever.'''
    def phases(self, budget):
        while True:
            yield Train("train", epochs=1, start_epoch=0)
"""


@pytest.mark.parametrize(
    ("text", "units", "amount"),
    [
        ("500", ENERGY, 500),
        ("500J", ENERGY, 500),
        ("1.5 kWh", ENERGY, 5.4e6),
        ("2e3kJ", ENERGY, 2e6),
        ("90min", TIME, 5400),
        ("0.5h", TIME, 1800),
    ],
)
def test_an_amount_has_a_unit(text: str, units: dict[str, float], amount: float) -> None:
    assert Amount(units).convert(text, None, None) == pytest.approx(amount)


@pytest.mark.parametrize(
    "text", ["", "J", "0", "-1J", "1.2.3J", "1kw", "1e999J", "inf", "nan", "1 h"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a number with a unit"):
        Amount(ENERGY).convert(text, None, None)


@pytest.fixture
def two_runs(tmp_path: Path) -> list[RunFolder]:
    """Two finished runs of known power."""
    folders = [start(spec, tmp_path) for spec in SPECS[:2]]
    for spec, folder in zip(SPECS[:2], folders, strict=True):
        attempt(spec, folder)
    return folders


def test_what_is_on_record_counts_with_what_is_not_yet(two_runs: list[RunFolder]) -> None:
    first, second = two_runs
    spent_s = {f: Budgets(Limits(), two_runs)._of(f).time_s for f in two_runs}
    whole_j = POWER_W * sum(spent_s.values())
    budgets = Budgets(Limits(energy_j=whole_j + 10), two_runs)
    assert budgets.reached(first) is None
    assert budgets.reached(first, Spent(energy_j=9.5)) is None
    reached = budgets.reached(first, Spent(energy_j=10.5))
    assert reached
    assert reached.ends_study
    assert "the energy limit of the study" in reached.text
    run = Budgets(Limits(run_time_s=spent_s[second] + 1), two_runs)
    assert run.reached(second, Spent(time_s=0.9)) is None
    reached = run.reached(second, Spent(time_s=1.1))
    assert reached
    assert not reached.ends_study
    assert "the time limit of the run" in reached.text


def test_what_runs_draw_side_by_side_counts_together(two_runs: list[RunFolder]) -> None:
    first, second = two_runs
    whole_j = POWER_W * sum(Budgets(Limits(), two_runs)._of(f).time_s for f in two_runs)
    budgets = Budgets(Limits(energy_j=whole_j + 10), two_runs)
    assert budgets.reached(first, Spent(energy_j=6)) is None
    assert budgets.reached(second, Spent(energy_j=3)) is None
    assert budgets.reached(second, Spent(energy_j=5)), "6 J and 5 J are more than 10 J"
    budgets.close(first)  # nothing of it came on record
    assert budgets.reached(second, Spent(energy_j=5)) is None


def test_what_an_attempt_spent_counts_once_it_is_over(tmp_path: Path) -> None:
    folder = start(SPECS[0], tmp_path)
    budgets = Budgets(Limits(run_energy_j=1e-3), [folder])
    assert budgets.reached(folder) is None
    attempt(SPECS[0], folder)
    budgets.close(folder)
    assert budgets.reached(folder)


def write(path: Path, *lines: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(encode(lines))


BEGUN = {"event": "attempt", "number": 1, "restored": 0, "time_ns": SECOND}


def test_what_was_drawn_before_a_run_began_is_not_the_runs(tmp_path: Path) -> None:
    folder = start(SPECS[0], tmp_path)
    guard = Guard(SPECS[0], folder, Budgets(Limits(run_energy_j=4), [folder]))
    estimate = sensor("energy", "estimated", device="cpu:host")
    write(folder.trace(1), header([estimate]), [0, 0, 0.0], [0, SECOND, 10.0])
    guard.look()
    write(folder.journal, BEGUN)
    guard.look()
    write(folder.trace(1), [0, 2 * SECOND, 13.5])
    guard.look()
    write(folder.trace(1), [0, 3 * SECOND, 14.5])
    with pytest.raises(StopRun, match="the energy limit of the run, 4 J, is reached"):
        guard.look()


def test_a_run_that_is_disturbed_as_it_begins_is_ended_once_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = SPECS[0].energy.model_copy(update={"isolation": "error"})
    spec = SPECS[0].model_copy(update={"energy": energy})
    folder = start(spec, tmp_path)
    guard = Guard(spec, folder, Budgets(Limits(), [folder]))
    seen = iter(["others use GPU-0"])
    monkeypatch.setattr(Intruders, "look", lambda _self: next(seen, None))
    guard.look()
    write(folder.journal, BEGUN)
    with pytest.raises(StopRun, match="others use GPU-0") as ended:
        guard.look()
    assert ended.value.status == "failed"


def test_a_run_that_never_ends_is_ended_and_the_study_goes_on(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    words = ("endless", "dense", "--plugin", str(tmp_path / "endless.py"), *WORDS)
    # Dense ends within its limit on a machine that is busy, too.
    words += ("--set", "training.epochs=1", "--set", "workload.train_samples=144")
    words += ("--out", str(tmp_path / "out"))
    ended = called(*words, "--max-run-time", "3s")
    assert ended.returncode == 6, ended.stderr
    limit = "the time limit of the run, 3 s, is reached"
    assert f"interrupted: endless, seed 0: {limit}" in ended.stderr
    assert "run the same command with a higher limit" in ended.stderr
    table = public.load(tmp_path / "out").set_index("method")
    assert table.loc["endless", "status"] == "interrupted"
    assert table.loc["endless", "reason"] == limit
    assert table.loc["endless", "energy_j"] > 0
    assert table.loc["dense", "status"] == "done"
    again = called(*words, "--max-run-time", "3s")
    assert again.returncode == 6
    assert len(public.load(tmp_path / "out")) == 2
    assert public.load(tmp_path / "out").set_index("method").loc["endless", "attempts"] == 1


def test_a_study_ends_at_its_energy_and_goes_on_under_more(tmp_path: Path) -> None:
    words = ("dense", "early_bird", *WORDS, "--out", str(tmp_path / "out"))
    ended = called(*words, "--max-energy", "4J")
    assert ended.returncode == 6, ended.stderr
    assert "the energy limit of the study, 4 J, is reached" in ended.stderr
    [row] = public.load(tmp_path / "out").to_dict("records")
    assert row["status"] == "interrupted"
    assert 4 <= row["energy_j"] < 12
    more = called(*words, "--set", "limits.energy_j=1e6")
    assert more.returncode == 0, more.stderr
    table = public.load(tmp_path / "out").set_index("method")
    assert set(table["status"]) == {"done"}
    assert table.loc[row["method"], "attempts"] == 2
