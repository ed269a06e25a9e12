"""`compare`, as a user and a gate call it: real results, thresholds and their exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from harness.errors import UsageError
from reports.statistics.threshold import Threshold
from tests.cli.test_light import heavy_imports
from tests.conftest import REPOSITORY, Harness

QUICK = REPOSITORY / "benchmarks" / "quick-cpu"
ARMS = ["dense", "early_bird", "lottery_ticket", "progressive"]


@pytest.fixture(scope="module")
def dearer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick study, but early_bird drew 10 % more."""
    copy = tmp_path_factory.mktemp("dearer") / "quick"
    shutil.copytree(QUICK, copy)
    for trace in copy.glob("runs/early_bird/*/trace-*.parquet"):
        table = pq.read_table(trace)
        place = table.schema.get_field_index("value")
        values = pc.multiply(table.column("value"), 1.1)
        pq.write_table(table.set_column(place, table.schema.field("value"), values), trace)
    return copy


def test_a_study_equals_itself(harness: Harness) -> None:
    ended = harness("compare", str(QUICK), str(QUICK), "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert [arm["arm"] for arm in document["arms"]] == ARMS
    for arm in document["arms"]:
        for metric in ("energy", "time", "co2e"):
            found = arm[metric]
            assert (found["change"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
        assert (arm["score"]["change"], arm["score"]["interval"]) == (0.0, "paired")
        assert (arm["parameters_ratio"], arm["macs_ratio"]) == (1.0, 1.0)
    assert document["only_a"] == document["only_b"] == document["thresholds"] == []
    assert document["passed"] is True
    assert "A and B are the same folder" in document["notes"]


def test_a_gate_that_holds_and_one_that_does_not(harness: Harness, dearer: Path) -> None:
    def call(*thresholds: str) -> tuple[int, str]:
        words = [word for text in thresholds for word in ("--fail-on", text)]
        ended = harness("compare", str(QUICK), str(dearer), *words)
        return ended.returncode, " ".join(ended.stdout.split())

    assert call("dense/energy:+5%", "accuracy:-0.5points")[0] == 0
    code, message = call("energy:+5%", "early_bird/energy:+11%")
    assert code == 4
    assert message.count("exceeded:") == 1
    assert "exceeded: estimated energy of early_bird +10.0 % (95 % CI" in message
    assert "more than the +5 % allowed" in message
    assert "kept: estimated energy of early_bird" in message
    assert call("energy:-1%")[0] == 4
    code, message = call("rigl/energy:+5%")
    assert code == 4
    assert "unchecked: energy of rigl cannot be checked because neither A nor B has" in message


def test_other_settings_are_not_compared(harness: Harness, tmp_path: Path) -> None:
    shutil.copytree(QUICK, tmp_path / "other")
    for path in (tmp_path / "other").glob("runs/*/*/spec.json"):
        path.write_text(path.read_text().replace('"epochs": 16', '"epochs": 17'))
    ended = harness("compare", str(QUICK), "other", "--fail-on", "accuracy:-99")
    assert ended.returncode == 4
    output = " ".join(ended.stdout.split())
    assert "not comparable because training.epochs differs (16 in A; 17 in B)" in output


def test_a_run_that_is_there_twice_is_refused(harness: Harness, tmp_path: Path) -> None:
    shutil.copytree(QUICK, tmp_path / "twice")
    shutil.copytree(QUICK / "runs/dense/seed-0", tmp_path / "twice/runs/dense/copy")
    ended = harness("compare", str(QUICK), "twice")
    assert ended.returncode == 2
    assert ended.stderr == "error: twice: holds dense, seed 0, twice\n"


def test_markdown_is_a_table_and_fits_a_comment(harness: Harness, dearer: Path) -> None:
    ended = harness("compare", str(QUICK), str(dearer), "--md", "--fail-on", "energy:+5%")
    assert ended.returncode == 4
    lines = ended.stdout.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(ARMS)
    assert rows[0].startswith("| Method | Accuracy, points | Energy (estimated), × |")
    assert "| 1.100 (1.100 … 1.100) |" in rows[3]
    assert sum(line.startswith("- **exceeded**: ") for line in lines) == 1


def test_the_terminals_table_reads_in_80_columns(harness: Harness, dearer: Path) -> None:
    ended = harness("compare", str(QUICK), str(dearer), env={"COLUMNS": "80"})
    assert ended.returncode == 0
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "early_bird" in ended.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--md"], "--json and --md: choose one"),
        (["--fail-on", "enrgy:+5%"], "'enrgy' is unknown; did you mean 'energy'?"),
        (["--fail-on", "energy"], "must be METRIC:CHANGE, such as energy:+5%"),
        ([], "nowhere: no results here"),
    ],
)
def test_wrong_input_is_reported_before_anything_is_read(
    words: list[str], message: str, harness: Harness
) -> None:
    ended = harness("compare", str(QUICK), "nowhere", *words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy:5%", "'5%': expected a number with a sign, such as energy:+5%"),
        ("energy:+5", "energy changes in %, such as energy:+5%"),
        ("energy:+5points", "energy changes in %"),
        ("accuracy:-1%", "accuracy changes in points, such as accuracy:-0.5points"),
        ("accuracy:-0,5", "accuracy changes in points"),
        ("time:+nan%", "'+nan%': expected a number"),
        ("co2e:", "'': expected a number"),
        ("/energy:+5%", "no method before the slash"),
        ("energy:-100%", "energy cannot change by that much"),
        ("accuracy:+101", "accuracy cannot change by that much"),
        ("early_bird/energi:+5%", "did you mean 'energy'?"),
    ],
)
def test_what_is_no_threshold_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        Threshold.parse(text)
    assert str(refused.value).startswith(f"--fail-on {text}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "arm", "metric", "limit"),
    [
        ("energy:+5%", "", "energy", 5),
        ("accuracy:-0.5points", "", "score", -0.5),
        ("accuracy:−.5", "", "score", -0.5),
        ("time: +10 %", "", "time", 10),
        ("early_bird prune_ratio=0.5/co2e:+0%", "early_bird prune_ratio=0.5", "co2e", 0),
        ("a path=x/y/energy:+5%", "a path=x/y", "energy", 5),
    ],
)
def test_thresholds_are_read(text: str, arm: str, metric: str, limit: float) -> None:
    read = Threshold.parse(text)
    assert (read.arm, read.quantity, read.limit) == (arm, metric, limit)


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["compare", str(QUICK), str(QUICK), "--fail-on", "energy"], set()),
        (["compare", str(QUICK), str(QUICK), "--json"], {"numpy", "pandas", "pyarrow", "scipy"}),
        (["compare", str(QUICK), str(QUICK)], {"numpy", "pandas", "pyarrow", "scipy"}),
    ],
    ids=["wrong threshold", "json", "terminal"],
)
def test_neither_torch_nor_figures_are_imported(
    words: list[str], allowed: set[str], tmp_path: Path
) -> None:
    assert heavy_imports([words], tmp_path) == {" ".join(words): sorted(allowed)}
