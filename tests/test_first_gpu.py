"""The scripts of a first session on a GPU: their logic, without one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest

from benchmarks.cifar_for_gpu import settings
from benchmarks.missing_wheels import missing
from harness.cli.main import cli
from harness.study.choose import choose_study
from harness.study.expand import expand
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "first_gpu.sh"


def test_the_script_is_sound_shell() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


@pytest.mark.parametrize("number", ["", "0", "4", "all"])
def test_another_number_is_refused(number: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        ["bash", SCRIPT, number],
        check=False,
        env={**os.environ, "OUT": str(tmp_path)},
        capture_output=True,
    )
    assert ended.returncode == 2
    assert not list(tmp_path.iterdir())


def test_a_short_run_ends_in_time_with_three_small_files(tmp_path: Path) -> None:
    """With next to no time: every step is given none, and what there is comes back."""
    out = tmp_path / "out"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", SCRIPT, "1"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OUT": str(out), "SHORT": "1", "LIMIT_S": "1", "PATH": path},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    files = sorted(out.iterdir())
    assert [each.name for each in files] == ["1-log.txt", "1-records.tar.gz", "1-summary.md"]
    assert all(each.stat().st_size < 1_000_000 for each in files)
    summary = files[2].read_text()
    assert "| doctor | no time left | |" in summary
    assert "| quick | no time left | |" in summary
    with tarfile.open(files[1]) as archive:
        names = archive.getnames()
    assert "results/notes.txt" in names
    assert not any(name.endswith(".pt") for name in names)


RECORDER = """#!/usr/bin/env bash
case "$*" in
*is_available*) echo True ;;
*missing_wheels*) ;;
*cifar_for_gpu*) printf '%s\\n' --set workload.data=folder --set workload.root=there "a copy" ;;
-m\\ harness* | benchmarks/*) printf '%q ' "$@" >>"$RECORD"; echo >>"$RECORD" ;;
esac
"""


def commands_of(number: str, tmp_path: Path) -> list[list[str]]:
    """What a script would have Python do on a machine with a GPU, in order."""
    interpreter = tmp_path / "bin" / "python3"
    interpreter.parent.mkdir()
    interpreter.write_text(RECORDER)
    interpreter.chmod(0o755)
    record = tmp_path / "record"
    ended = subprocess.run(
        ["bash", SCRIPT, number],
        check=False,
        env={
            **os.environ,
            "OUT": str(tmp_path / "out"),
            "RECORD": str(record),
            "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return [shlex.split(line) for line in record.read_text().splitlines()]


@pytest.mark.parametrize(
    ("number", "expected"),
    [("1", ["doctor", "run quick", "run quick"]), ("2", ["run gpu-acceptance"])],
)
def test_our_command_line_takes_what_the_scripts_say(
    number: str, expected: list[str], tmp_path: Path
) -> None:
    """A renamed option, method or setting would cost a session on a GPU."""
    found = []
    for words in commands_of(number, tmp_path):
        if words[:2] != ["-m", "harness"]:
            continue
        context = click.Context(cli)
        name, command, left = cli.resolve_command(context, words[2:])
        assert command is not None
        given = command.make_context(name, left, parent=context).params
        if name == "run":
            keys = ("words", "seeds", "plugins", "changes")
            study, registry = choose_study(*(given[key] for key in keys), ())
            assert expand(study, registry)
            name = f"{name} {study.name}"
        found.append(name)
    assert found == expected


@pytest.mark.parametrize("number", ["1", "3"])
def test_benchmarks_take_what_the_scripts_say(number: str, tmp_path: Path) -> None:
    scripts = [words for words in commands_of(number, tmp_path) if words[0] != "-m"]
    assert scripts
    for script, *words in scripts:
        known = (REPOSITORY / script).read_text()
        options = [word for word in words if word.startswith("--")]
        assert all(f'"{option}"' in known for option in options), script


def test_nothing_is_missing_where_the_tests_run() -> None:
    assert missing() == []


def test_random_images_where_there_are_none(tmp_path: Path) -> None:
    found, output = settings(None, tmp_path, 20)
    assert found == {"data": "cifar10", "root": str(tmp_path)}
    assert (tmp_path / "cifar-10-batches-py" / "test_batch").exists()
    assert "random images" in output


def test_published_files_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    found, output = settings(tmp_path, tmp_path / "scratch", 20)
    assert found == {"data": "cifar10", "root": str(tmp_path)}
    assert "as published" in output


@pytest.mark.parametrize("packed", [True, False])
def test_pictures_by_class_are_a_folder_and_called_a_copy(packed: bool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for part in ("train", "test"):
        (source / part / "cat").mkdir(parents=True)
        (source / part / "cat" / "0000.jpg").write_bytes(b"a picture")
    data, scratch = source, tmp_path / "scratch"
    if packed:
        data = tmp_path / "data"
        data.mkdir()
        with tarfile.open(data / "copy.tar.xz", "w:xz") as archive:
            archive.add(source / "train", "train")
            archive.add(source / "test", "test")
    found, output = settings(data, scratch, 20)
    assert found["data"] == "folder"
    assert (Path(found["root"]) / "train" / "cat" / "0000.jpg").read_bytes() == b"a picture"
    assert "JPEG copy" in output


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nor a tar"):
        settings(tmp_path, tmp_path / "scratch", 20)
