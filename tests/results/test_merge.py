"""Results of several machines in one folder: everything kept, nothing chosen in silence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import harness
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.merge import merge
from tests.conftest import REPOSITORY

QUICK = REPOSITORY / "benchmarks" / "quick-cpu"
Keep = Callable[[Path], bool]


def part(place: Path, keep: Keep) -> StudyFolder:
    """The quick study with some of its runs."""
    shutil.copytree(QUICK, place)
    for run in place.glob("runs/*/*"):
        if not keep(run):
            shutil.rmtree(run)
    return StudyFolder(place)


def change(folder: StudyFolder, **changes: Any) -> None:
    saved = folder.read_study()
    folder.settings.write_text(json.dumps(saved | changes), "utf-8")


@pytest.fixture
def first(tmp_path: Path) -> StudyFolder:
    """Seed 0, and of seed 1 dense alone."""
    return part(tmp_path / "a", lambda run: run.name == "seed-0" or run.parts[-2:] == ONE)


@pytest.fixture
def second(tmp_path: Path) -> StudyFolder:
    """All the rest."""
    return part(tmp_path / "b", lambda run: run.name != "seed-0" and run.parts[-2:] != ONE)


ONE = ("dense", "seed-1")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(*sources: StudyFolder, out: Path) -> str:
    """Why they cannot be merged; nothing is left behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(UsageError) as error:
        merge(sources, out)
    assert sorted(out.parent.iterdir()) == before
    return str(error.value)


def test_the_parts_make_the_table_of_the_whole(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    out = tmp_path / "c"
    whole = harness.load(str(QUICK))
    assert merge([first, second], out) == len(whole)
    pd.testing.assert_frame_equal(harness.load(str(out)), whole)
    raw = {name: text for name, text in contents(QUICK).items() if name.startswith("runs/")}
    assert {n: t for n, t in contents(out).items() if n.startswith("runs/")} == raw


def test_the_study_names_the_methods_and_seeds_of_all(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    change(first, seeds=[0, 1], methods={"dense": {}, "early_bird": {"prune_ratio": 0.5}})
    change(second, seeds=[1, 2], methods={"early_bird": [{"prune_ratio": 0.3}], "snip": {}})
    merge([first, second], tmp_path / "c")
    study = StudyFolder(tmp_path / "c").read_study()
    assert study["seeds"] == [0, 1, 2]
    assert study["methods"] == {
        "dense": {},
        "early_bird": [{"prune_ratio": 0.5}, {"prune_ratio": 0.3}],
        "snip": {},
    }


def test_the_same_records_twice_count_once(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    place = "runs/dense/seed-0"
    shutil.copytree(first.path / place, second.path / place)
    (second.path / place / ".lock").touch()  # no process holds it
    assert merge([first, second], tmp_path / "c") == len(harness.load(str(QUICK)))
    assert not (tmp_path / "c" / place / ".lock").exists()


def test_two_records_of_one_run_are_a_conflict(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    place = "runs/dense/seed-0"
    shutil.copytree(first.path / place, second.path / place)
    with (second.path / place / "journal.jsonl").open("a") as journal:
        journal.write("{}\n")
    message = refused(first, second, out=tmp_path / "c")
    assert f"{first.path / place} and {second.path / place}: conflicting records" in message


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": "other"}, "name is 'quick'"),
        ({"carbon": {"country": "FRA"}}, "carbon.country is None"),
        ({"variants": {"a": {}}}, "variants is []"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_another_study_is_a_conflict(
    first: StudyFolder,
    second: StudyFolder,
    tmp_path: Path,
    changes: dict[str, Any],
    key: str,
) -> None:
    change(second, **changes)
    message = refused(first, second, out=tmp_path / "c")
    assert message.startswith(key)
    assert str(second.path) in message


def test_a_recipe_is_a_conflict_but_a_place_of_files_is_not(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    saved = second.read_study()
    change(second, workload=saved["workload"] | {"root": "/elsewhere", "workers": 1})
    merge([first, second], tmp_path / "c")
    change(second, training=saved["training"] | {"epochs": 99})
    message = refused(first, second, out=tmp_path / "d")
    assert "training.epochs is" in message
    assert "but 99 in" in message


def test_a_run_that_is_worked_on_is_left_to_its_owner(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    held = second.runs()[0].hold()
    message = refused(first, second, out=tmp_path / "c")
    held.release()
    assert "works on it; merge when it is done" in message
    merge([first, second], tmp_path / "c")


def test_no_link_leads_the_copy_elsewhere(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    log = second.runs()[0].log
    log.unlink(missing_ok=True)
    log.symlink_to(secret)
    assert "is a link" in refused(first, second, out=tmp_path / "c")


def test_what_is_there_is_not_written_over(first: StudyFolder, second: StudyFolder) -> None:
    before = contents(first.path)
    assert "already exists" in refused(first, second, out=first.path)
    assert contents(first.path) == before


def test_one_folder_is_nothing_to_merge(first: StudyFolder, tmp_path: Path) -> None:
    assert "at least two" in refused(first, out=tmp_path / "c")


def test_a_damaged_study_is_reported(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    change(second, methods=[1, 2])
    message = refused(first, second, out=tmp_path / "c")
    assert f"{second.path}: damaged study: methods" in message


def test_answers_about_the_grid_are_joined_and_a_series_must_be_the_same(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    (first.carbon_live).write_bytes(b'{"a": 1}\n{"b": 2}\n')
    (second.carbon_live).write_bytes(b'{"b": 2}\n{"c": 3}\n')
    (first.carbon_series).write_bytes(b"time,kg_per_kwh\n")
    (second.carbon_series).write_bytes(b"time,kg_per_kwh\n")
    merged = StudyFolder(tmp_path / "c")
    merge([first, second], merged.path)
    assert merged.carbon_live.read_bytes() == b'{"a": 1}\n{"b": 2}\n{"c": 3}\n'
    assert merged.carbon_series.read_bytes() == b"time,kg_per_kwh\n"
    (second.carbon_series).write_bytes(b"time,g_per_kwh\n")
    assert "are different carbon series" in refused(first, second, out=tmp_path / "d")


def test_of_a_copy_that_fails_nothing_is_left(
    first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    pipe = second.runs()[-1].path / "pipe"
    os.mkfifo(pipe)
    assert str(pipe) in refused(first, second, out=tmp_path / "c")


def test_the_new_folder_may_be_there_and_empty(
    first: StudyFolder,
    second: StudyFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "c").mkdir()
    monkeypatch.chdir(tmp_path / "c")
    merge([first, second], Path())
    assert len(StudyFolder(tmp_path / "c").runs()) == len(StudyFolder(QUICK).runs())


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"methods.early_bird":[', '"methods.early_bird":["0","0",', "other code of early_bird"),
        ('"digest":"digits"', '"digest":"others"', "other data"),
    ],
    ids=["code", "data"],
)
def test_a_method_with_other_code_or_data_is_refused(
    before: str, after: str, why: str, first: StudyFolder, second: StudyFolder, tmp_path: Path
) -> None:
    for run in second.runs():
        if run.read_spec().method == "early_bird":
            text = run.journal.read_text("utf-8")
            assert before in text
            run.journal.write_text(text.replace(before, after), "utf-8")
    message = refused(first, second, out=tmp_path / "c")
    assert why in message
    assert "early_bird" in message.split(" was made ")[0]
    # Beside another method they are as good as before.
    assert merge([second, part(tmp_path / "d", lambda run: "dense" in run.parts)], tmp_path / "e")
