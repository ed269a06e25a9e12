"""`export` finds what is wrong before it reads anything, and says where everything went."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import export_results
from harness.errors import ExitCode, UsageError
from harness.integrations.exporters.registry import EXPORTERS, TARGETS, Exporter, find
from tests.conftest import REPOSITORY


def test_an_unknown_exporter_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(
        UsageError, match="--to: 'tensorbord' is unknown; did you mean 'tensorboard'"
    ):
        export_results("nowhere", "tensorbord", None)


def test_a_missing_package_is_reported_with_the_command_that_installs_it() -> None:
    exporter = Exporter("wandb", "", "nowhere:export", ("no_such_package",))
    with pytest.raises(UsageError) as caught:
        exporter.load()
    assert str(caught.value) == (
        "--to wandb needs no_such_package: pip install 'energy-harness[wandb]'"
    )


def test_a_folder_with_the_name_of_a_package_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_such_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="needs no_such_package"):
        Exporter("wandb", "", "nowhere:export", ("no_such_package",)).load()


@pytest.mark.parametrize("name", EXPORTERS)
def test_what_an_exporter_needs_is_in_the_extra_of_its_name(name: str) -> None:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"].get(name, [])
    for package in find(name).needs:
        assert any(line.startswith(package) for line in extra), (package, extra)
    assert bool(find(name).needs) == bool(extra)


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_exporter_is_in_the_module_that_the_registry_names(name: str) -> None:
    assert callable(TARGETS.load(name))


def test_no_results_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results here"):
        export_results(str(tmp_path), "csv", None)


def test_a_place_that_cannot_be_written_is_reported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        export_results(str(folder), "csv", str(tmp_path / "file" / "out"))


def test_it_says_where_everything_went(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "there"
    assert export_results(str(folder), "csv", str(out)) == ExitCode.DONE
    assert capsys.readouterr().out == f"csv: {out}\n"


def test_without_a_place_it_goes_beside_the_results(ills: Path) -> None:
    export_results(str(ills), "csv", None)
    assert (ills / "export" / "csv" / "runs.csv").exists()


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
@pytest.mark.parametrize("name", EXPORTERS)
def test_a_study_that_has_hardly_begun_is_no_mistake(
    name: str, unknown: Path, tmp_path: Path
) -> None:
    assert export_results(str(unknown), name, str(tmp_path / "out")) == ExitCode.DONE
    assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize("name", EXPORTERS)
def test_neither_torch_nor_figures_are_needed(name: str, folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'matplotlib', 'tensorflow')))\n"
        "from harness.cli.main import export_results\n"
        f"sys.exit(export_results({str(folder)!r}, {name!r}, {str(tmp_path / 'out')!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONWARNINGS": ""},  # as a user has it
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.startswith(f"{name}: ")
