"""What a study will cost, told before it costs anything."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

import harness as public
from tests.engines.started import called

ARMS = ("dense", "early_bird")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which two seeds are done, and of another arm one."""
    out = tmp_path_factory.mktemp("begun") / "out"
    short = ("--set", "training.epochs=1", "--no-report", "--out", str(out))
    assert called(*ARMS, "--seed", "0", *short).returncode == 0
    assert called("dense", "--seed", "1", *short).returncode == 0
    return out


def planned(*words: str) -> dict[str, Any]:
    said = called("plan", *words, "--json")
    assert said.returncode == 0, said.stderr
    return dict(json.loads(said.stdout))


def asked(out: Path, *more: str) -> tuple[str, ...]:
    seeds = [word for seed in range(4) for word in ("--seed", str(seed))]
    return (*ARMS, *seeds, "--set", "training.epochs=1", "--out", str(out), *more)


def test_what_is_left_is_judged_by_what_is_done(begun: Path) -> None:
    plan = planned(*asked(begun), "--price", "0.5")
    table = public.load(begun)
    arms = {arm["arm"]: arm for arm in plan["arms"]}
    assert (plan["runs"], plan["left"], plan["unknown"]) == (8, 5, [])
    assert (arms["dense"]["left"], arms["dense"]["judged_by"]) == (2, 2)
    energies = list(table[table["arm"] == "dense"]["energy_j"])
    said = arms["dense"]["energy_j"]
    assert said["value"] == pytest.approx(2 * statistics.fmean(energies))
    # Two further runs, judged by two: the variance of their sum is s² (2 + 4/2).
    half = t.ppf(0.975, 1) * statistics.stdev(energies) * 2
    assert said["half_width"] == pytest.approx(half)
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


def test_what_is_unknown_is_said(begun: Path, tmp_path: Path) -> None:
    said = called("plan", *asked(begun), "snip")
    assert "at least, since nothing is known of snip:" in said.stdout
    assert "± ?" in said.stdout
    none = called("plan", "--out", str(tmp_path / "none"))
    assert none.returncode == 0
    assert "what it costs is unknown" in none.stdout
    assert not (tmp_path / "none").exists(), "a plan writes nothing"


def test_a_wrong_word_is_told_as_by_run(tmp_path: Path) -> None:
    said = called("plan", "earlybird", "--out", str(tmp_path / "none"))
    assert said.returncode == 2
    assert "did you mean 'early_bird'?" in said.stderr
