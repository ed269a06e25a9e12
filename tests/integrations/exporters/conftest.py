"""Studies to export: a real one, and one in which something is wrong with every run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.results.table import Tables
from tests.conftest import REPOSITORY

# Read when MLflow is imported, which the tests do themselves.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

STUDY = REPOSITORY / "benchmarks" / "quick-cpu"
MARKUP = '../../<img src=x onerror="alert(1)">'


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without accounts or settings."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of 12 runs: four methods, three seeds, estimated energy."""
    path = tmp_path_factory.mktemp("real") / "quick"
    shutil.copytree(STUDY, path)
    return path


@pytest.fixture(scope="session")
def tables(folder: Path) -> Tables:
    """Their tables."""
    return Tables(folder)


@pytest.fixture
def ills(tmp_path: Path) -> Path:
    """Results of four runs: failed, without energy, simulated, and of hostile names."""
    path = tmp_path / "ills"
    for name in ("dense/seed-0", "dense/seed-1", "dense/seed-2", "early_bird/seed-0"):
        shutil.copytree(STUDY / "runs" / name, path / "runs" / name)
    shutil.copy(STUDY / "study.json", path)
    fail(path / "runs/dense/seed-0/journal.jsonl")
    (path / "runs/dense/seed-1/trace-1.parquet").unlink()
    _simulate(path / "runs/dense/seed-2/trace-1.parquet")
    _rename(path)
    return path


def fail(journal: Path) -> None:
    """Make a finished run a failed one."""
    *lines, end = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [line for line in lines if line["event"] != "result"]
    end |= {"status": "failed", "reason": "loss is not finite"}
    _write(journal, [*lines, end])


def _simulate(trace: Path) -> None:
    table = pq.read_table(trace)
    texts = [
        text and text.replace('"estimated"', '"simulated"') for text in table["text"].to_pylist()
    ]
    position = table.schema.get_field_index("text")
    pq.write_table(table.set_column(position, "text", pa.array(texts, pa.string())), trace)


def _rename(path: Path) -> None:
    """Hostile names, wherever a study or a plugin can put some."""
    study = json.loads((path / "study.json").read_text())
    (path / "study.json").write_text(json.dumps(study | {"name": MARKUP + "x" * 300}))
    run = path / "runs/early_bird/seed-0"
    spec = json.loads((run / "spec.json").read_text())
    spec |= {"study": MARKUP, "arm": MARKUP, "method": MARKUP + "y" * 300}
    spec["hyperparameters"][MARKUP] = MARKUP * 300
    (run / "spec.json").write_text(json.dumps(spec))
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        if line["event"] == "record":
            line["facts"] |= {MARKUP + "z": 1.5, "../a": 2, ".._a": 3, "": 4, "word": MARKUP}
        if line.get("window") == "search":
            line["window"] = MARKUP
    _write(run / "journal.jsonl", lines)


def _write(journal: Path, lines: list[object]) -> None:
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """Results of one run without any record of energy, beside one that has not begun."""
    path = tmp_path / "unknown"
    for name in ("dense/seed-0", "dense/seed-1"):
        shutil.copytree(STUDY / "runs" / name, path / "runs" / name)
        (path / "runs" / name / "trace-1.parquet").unlink()
    shutil.copy(STUDY / "study.json", path)
    (path / "runs/dense/seed-1/journal.jsonl").unlink()
    return path


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], set[Path]]:
    """Every file below the test's own folder, to see that none is outside an export's."""
    return lambda: {path for path in tmp_path.rglob("*") if path.is_file()}
