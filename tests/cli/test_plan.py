"""What a study will cost, estimated before it costs anything."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

import harness as public
from harness.method.dry_run import planned_epochs
from harness.method.phases import Budget
from harness.results.forecast import Forecast, Pilot, in_step, piloted
from harness.study.registry import Registry
from tests.conftest import Harness
from tests.scheduler.started import called

ARMS = ("dense", "early_bird")
FEW = ("--set", "training.epochs=1", "--set", "workload.train_samples=480")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which two seeds are done, and of another arm one."""
    out = tmp_path_factory.mktemp("begun") / "out"
    short = (*FEW, "--no-report", "--out", str(out))
    assert called(*ARMS, "--seed", "0", *short).returncode == 0
    assert called("dense", "--seed", "1", *short).returncode == 0
    return out


def planned(*words: str) -> dict[str, Any]:
    ended = called("plan", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def asked(out: Path, *more: str) -> tuple[str, ...]:
    seeds = [word for seed in range(4) for word in ("--seed", str(seed))]
    return (*ARMS, *seeds, *FEW, "--out", str(out), *more)


def test_what_is_left_is_judged_by_what_is_done(begun: Path) -> None:
    plan = planned(*asked(begun), "--price", "0.5")
    table = public.load(begun)
    arms = {arm["arm"]: arm for arm in plan["arms"]}
    assert (plan["runs"], plan["left"], plan["unknown"]) == (8, 5, [])
    assert (arms["dense"]["left"], arms["dense"]["judged_by"]) == (2, 2)
    energies = list(table[table["arm"] == "dense"]["energy_j"])
    dense_j = arms["dense"]["energy_j"]
    assert dense_j["value"] == pytest.approx(2 * statistics.fmean(energies))
    # Two further runs, judged by two: the variance of their sum is s² (2 + 4/2).
    half = t.ppf(0.975, 1) * statistics.stdev(energies) * 2
    assert dense_j["half_width"] == pytest.approx(half)
    assert arms["early_bird"]["energy_j"]["half_width"] is None, "one run tells no spread"
    whole_j = sum(arm["energy_j"]["value"] for arm in plan["arms"])
    assert plan["energy_kwh"]["value"] == pytest.approx(whole_j / 3.6e6)
    assert plan["energy_kwh"]["half_width"] is None
    assert plan["price"]["value"] == pytest.approx(0.5 * whole_j / 3.6e6)
    assert plan["energy_standing"] == "estimated"
    assert plan["disk_bytes"]["value"] > 0


def test_the_more_at_a_time_the_sooner_done(begun: Path) -> None:
    one = planned(*asked(begun))
    assert one["at_once"] == 1
    assert one["makespan_s"] == pytest.approx(one["time_s"]["value"])
    all_at_once = planned(*asked(begun), "--at-once", "100")
    longest = max(arm["time_s"]["value"] / arm["left"] for arm in one["arms"])
    assert all_at_once["makespan_s"] == pytest.approx(longest)


def test_runs_of_another_recipe_tell_nothing(begun: Path) -> None:
    plan = planned(*asked(begun, "--set", "training.epochs=2"))
    assert plan["unknown"] == [arm["arm"] for arm in plan["arms"]]
    assert plan["makespan_s"] is None


def test_what_is_unknown_is_reported(begun: Path, tmp_path: Path) -> None:
    ended = called("plan", *asked(begun), "snip")
    assert "at least, not counting snip:" in ended.stdout
    assert "± ?" in ended.stdout
    none = called("plan", "--out", str(tmp_path / "none"))
    assert none.returncode == 0
    assert "cost unknown" in none.stdout
    assert not (tmp_path / "none").exists(), "a plan writes nothing"


def test_a_wrong_word_is_reported_as_by_run(tmp_path: Path) -> None:
    ended = called("plan", "earlybird", "--out", str(tmp_path / "none"))
    assert ended.returncode == 2
    assert "did you mean 'early_bird'?" in ended.stderr


def test_where_no_run_is_done_a_pilot_is_used(
    begun: Path, harness: Harness, tmp_path: Path
) -> None:
    # In a process of its own: a pilot switches torch to the recipe's arithmetic.
    words = ("dense", "lottery_ticket", "--seed", "1", "--seed", "2", *FEW)
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
    ended = harness("plan", *words, "--out", str(begun), "--pilot", "--json", env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "GOMP_SPINCOUNT = '0'" in ended.stderr, "idle threads sleep, as a run's"
    assert ended.stderr.count("pilot: training") == 1, "one pilot a recipe"
    plan = json.loads(ended.stdout)
    arms = {arm["arm"].split()[0]: arm for arm in plan["arms"]}
    dense, ticket = arms["dense"], arms["lottery_ticket"]
    assert (dense["judged_by"], dense["piloted"]) == (1, False), "a finished run tells more"
    assert (ticket["judged_by"], ticket["piloted"]) == (0, True)
    assert plan["unknown"] == []
    assert 0 < ticket["energy_j"]["half_width"] < ticket["energy_j"]["value"]
    assert ticket["energy_standing"] == "estimated"
    assert ticket["disk_bytes"]["value"] > 0
    assert {path.name for path in (begun / "runs").iterdir()} == {"dense", "early_bird"}
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.graphs=true", "error: training.graphs needs an NVIDIA GPU"),
        ("training.resized_crop=true", "--pilot: training vgg_small on digits failed: "),
    ],
)
def test_a_pilot_that_cannot_be_says_why(
    change: str, message: str, harness: Harness, tmp_path: Path
) -> None:
    words = ("--set", change, "--set", "workload.input=resident", "--out", str(tmp_path / "none"))
    ended = harness("plan", "dense", *words, "--pilot")
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["lottery_ticket", "shuffled_ticket"])
def test_a_rewind_to_a_step_is_planned_from_that_step(name: str) -> None:
    method = Registry.discover().get(name)(rounds=2, rewind_steps=12)
    # Twelve steps of five an epoch: two epochs are not trained again in either round.
    assert planned_epochs(method, Budget(6), steps=5) == 6 + 2 * 4
    assert planned_epochs(method, Budget(6)) == 6 + 2 * 6


def test_a_pilot_is_extrapolated_with_its_error() -> None:
    pilot = Pilot((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), 5.0, 50.0, frozenset({"measured"}), 1000, 10)
    arm = piloted(Forecast("dense", runs=4, left=3), pilot, epochs=7)
    assert arm.time_s is not None
    assert arm.energy_j is not None
    assert arm.disk_bytes is not None
    assert arm.time_s.value == pytest.approx(3 * (5 + 7 * 2))
    # The mean of three chunks has the error t s/√3; all epochs of all runs share it.
    assert arm.time_s.half_width == pytest.approx(3 * 7 * t.ppf(0.975, 2) / 3**0.5)
    assert arm.energy_j.value == pytest.approx(3 * (50 + 7 * 20))
    assert arm.disk_bytes.value == pytest.approx(3 * 1000 + 10 * arm.time_s.value)
    both = in_step([arm.time_s, arm.time_s])
    assert both.half_width == pytest.approx(2 * arm.time_s.half_width)
    assert in_step([arm.time_s, arm.disk_bytes]).half_width is None


def test_a_pilot_of_several_gpus_is_refused() -> None:
    ended = called("plan", "--pilot", "--set", "engine.gpus_per_run=2")
    assert ended.returncode == 2
    assert "a single GPU" in ended.stderr
