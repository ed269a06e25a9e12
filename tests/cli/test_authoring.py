"""From nothing to a study and a method of one's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import Field, create_model

from harness.cli.author_commands import TABLES, commented, help_texts
from harness.method.base import Method
from harness.study.choose import built_in_studies
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests import prepared
from tests.conftest import REPOSITORY, Harness
from tests.scheduler.started import called


def test_a_new_study_is_one_and_has_every_key(harness: Harness, tmp_path: Path) -> None:
    ended = harness("init")
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "my-study.toml").read_text()
    study = Study(**tomllib.loads(text))
    assert study.name == "my-study"
    assert len(expand(study, Registry.discover())) == 6
    for table, model in TABLES.items():
        section = text[text.index(f"[{table}]") :]
        for key in set(model.model_fields) - {"slurm"}:
            assert re.search(rf"^(# )?{key} =", section, flags=re.MULTILINE), f"{table}.{key}"
    again = harness("init")
    assert again.returncode == 2
    assert "my-study.toml: already exists" in again.stderr


def test_what_a_new_study_says_is_default_is_so() -> None:
    plain = Study(**tomllib.loads(commented("mine")))
    # Every key that has a value, no longer commented out.
    uncommented = re.sub(r"^# (\w+ = .+)$", r"\1", commented("mine"), flags=re.MULTILINE)
    uncommented = uncommented.replace("prune_ratio = [0.3, 0.5, 0.7]\n", "")
    # Of the ways to give seeds, one.
    uncommented = re.sub(r"^seeds = [\"{].*\n", "", uncommented, flags=re.MULTILINE)
    assert Study(**tomllib.loads(uncommented)) == plain


def test_help_is_the_docstring_below_a_field_of_the_class_or_of_a_base() -> None:
    helps = help_texts(Registry.discover().get("early_bird"))
    assert helps["prune_ratio"].startswith("Share of")
    assert helps["min_channels"].startswith("Floor of channels")
    field = (int, Field(1, description="What a class made without a file says."))
    made = create_model("Made", __base__=Method, depth=field)
    assert help_texts(made) == {"depth": "What a class made without a file says."}


def test_a_built_in_study_can_be_copied(harness: Harness, tmp_path: Path) -> None:
    assert harness("init", "mine.toml", "--from", "controls").returncode == 0
    assert tomllib.loads((tmp_path / "mine.toml").read_text())["name"] == "controls"
    wrong = harness("init", "other.toml", "--from", "control")
    assert wrong.returncode == 2
    assert "did you mean 'controls'?" in wrong.stderr


def test_every_study_says_what_it_is(harness: Harness) -> None:
    listed = harness("studies").stdout.splitlines()
    assert [line.split()[0] for line in listed] == built_in_studies()
    assert all(len(line.split()) > 5 for line in listed)


def test_a_new_method_keeps_its_word(tmp_path: Path) -> None:
    made = called("new-method", "my_way", "--in", str(tmp_path))
    assert made.returncode == 0, made.stderr
    ended = called("check-method", str(tmp_path / "my_way.py"))
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("  ok    ") == 6
    for word in ("the same seed gives the same weights", "torch works in phases alone"):
        assert word in ended.stdout


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import torch; torch.ones(3).sum(); yield Train('a', epochs=1)", "torch works outside"),
        ("TURNS.append(0); yield Train('a', epochs=len(TURNS))", "not so: the same seed"),
        (
            "import os; os.urandom(1); TURNS.append(1); yield Train(str(len(TURNS)), epochs=1)",
            "does not go on: on resuming, phase 0",
        ),
        ("sum(range(3 * 10**7)); yield Train('a', epochs=1)", "the rest passes between them"),
        ("yield 'Train'", "it does not run to its end: the method yielded 'Train'"),
        ("yield Train('a', epochs=1); raise KeyError('x')", "run to its end: KeyError"),
    ],
    ids=["torch", "random", "resume", "covers", "no phase", "raises"],
)
def test_a_method_that_breaks_its_word_is_reported(body: str, why: str, tmp_path: Path) -> None:
    lines = "\n        ".join(body.split("; "))
    (tmp_path / "broken.py").write_text(
        "from harness import Method, Train\n\nTURNS = []\n\n\n"
        f"class Broken(Method):\n    def phases(self, budget):\n        {lines}\n"
    )
    ended = called("check-method", str(tmp_path / "broken.py"))
    assert ended.returncode == 3, ended.stdout
    assert re.search(rf"FAIL  .*{re.escape(why)}", ended.stdout), ended.stdout


def test_a_new_package_is_found_and_passes_its_own_test(tmp_path: Path) -> None:
    assert called("new-method", "other_way", "--package", "--in", str(tmp_path)).returncode == 0
    package = tmp_path / "other-way"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["energy_harness.methods"]
    assert entry == {"other_way": "other_way_method:OtherWay"}
    ended = subprocess.run(
        [prepared.python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": f"{package}:{REPOSITORY}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [("MyWay", "must be in snake case"), ("dense", "exists already")],
)
def test_a_method_needs_a_name_of_its_own(name: str, why: str, harness: Harness) -> None:
    ended = harness("new-method", name)
    assert ended.returncode == 2
    assert why in ended.stderr


def test_a_run_is_shown(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--seed", "0", "--set", "training.epochs=1", "--no-report", "--out", str(out))
    assert called("dense", *words).returncode == 0
    run = out / "runs" / "dense" / "seed-0"
    ended = called("show", str(run))
    assert ended.returncode == 0, ended.stderr
    for word in ("dense, seed 0: done", "on 360 test samples", "(estimated)", "train", "overhead"):
        assert word in ended.stdout
    table = json.loads(called("show", str(run), "--json").stdout)
    whole_j = sum(phase["energy_j"] for phase in table["phases"])
    assert whole_j == pytest.approx(table["run"]["energy_j"])
    nothing = called("show", str(out))
    assert nothing.returncode == 2
    assert "no run here" in nothing.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_completion(shell: str, harness: Harness) -> None:
    ended = harness("completion", shell)
    assert ended.returncode == 0
    assert "_ENERGY_HARNESS_COMPLETE" in ended.stdout


def test_studies_and_methods_are_completed() -> None:
    program = str(Path(sys.executable).with_name("energy-harness"))
    ended = subprocess.run(
        [program],
        env={
            "PATH": "/usr/bin:/bin",
            "_ENERGY_HARNESS_COMPLETE": "bash_complete",
            "COMP_WORDS": "energy-harness run early_b",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == ["plain,early_bird"]
