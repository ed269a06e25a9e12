"""What lies in `examples` runs, as it is, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests import prepared
from tests.conftest import REPOSITORY, Harness

EXAMPLES = REPOSITORY / "examples"
SHORT = {'"training.epochs": 4': '"training.epochs": 2, "workload.train_samples": 360'}
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "prune_once.py")


def _shortened(text: str) -> str:
    """What an example says, with less to train on."""
    for long, short in SHORT.items():
        text = text.replace(long, short)
    return text


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(_shortened((EXAMPLES / name).read_text("utf-8")), "utf-8")
    ended = subprocess.run(
        [prepared.python(), name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    shown = {"compare_methods.py": "by seed: {0:", "measure_a_loop.py": "steps 501-1000"}
    assert shown[name] in ended.stdout


def test_the_method_keeps_its_word(harness: Harness) -> None:
    ended = harness("check-method", str(EXAMPLES / "prune_once.py"), "--json")
    assert ended.returncode == 0, ended.stdout
    assert [finding["kept"] for finding in json.loads(ended.stdout)["prune_once"]] == [True] * 6


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", prepared.python())  # of the kernel
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = _shortened(cell.source)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    text = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())
    )
    assert re.search(r"sort: \d+\.\d+ J ± ", text)
    assert (tmp_path / "results" / "tour" / "report" / "index.html").exists()


def test_all_of_them_are_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")):
        assert f"({path.name})" in listed
