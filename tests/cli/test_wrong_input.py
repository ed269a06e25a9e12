"""A wrong input costs nothing: exit code 2, one message, no traceback, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Harness
from tests.scheduler.started import called

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
STUDY = """
name = "mine"
seeds = [0]
[workload]
data = "digits"
model = "vgg_small"
[methods.dense]
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["earlybird"], "did you mean 'early_bird'?"),
        (["reprot", "x"], "did you mean 'report'?"),
        (["quik"], "did you mean 'quick'?"),
        (["run", "nowhere.toml"], "study nowhere.toml: No such file"),
        (["describe", "dens"], "did you mean 'dense'?"),
        (["report", "nowhere"], "nowhere: no results here"),
        (["--sed", "1"], "Did you mean"),
        (["--seed", "one"], "'one' is not a valid integer"),
        (["--seed", "-1"], "seeds.0: should be greater than or equal to 0, not -1"),
        (["--set", "seeds=[]"], "seeds: must not be empty"),
        (["--set", "training.epocs=3"], "training.epocs: unknown key; did you mean 'epochs'?"),
        (["--set", "training.epochs"], "must be KEY=VALUE"),
        (["--set", "name.x=1"], "'name' is a value, not a table"),
        (["--set", "methods.early_bird.prune_ratio=-0.5"], "should be greater than 0, not -0.5"),
        (["--set", "workload.data=digit"], "did you mean 'digits'?"),
        (["--set", "carbon.country=XXX"], "CodeCarbon has no data for 'XXX'"),
        (["--set", "carbon.series=a.csv"], "a.csv: No such file or directory"),
        (["--set", 'carbon.also=["FRX"]'], "CodeCarbon has no data for 'FRX'"),
        (["--set", "carbon.cloud=gcp/us-wst1"], "did you mean 'gcp/us-west1'?"),
        (["--set", "workload.model=resnet19"], "did you mean 'resnet18'?"),
        (["--set", "workload.data=cifar10"], "workload.root: no cifar10 in"),
        (["small_dense"], "small_dense: requires a run of early_bird; add that method"),
        (["dense_short"], "dense_short: give either share or match"),
        (["--plugin", "nowhere.py"], "plugin nowhere.py: no such file"),
        (["--out", "/proc/nowhere/x"], "cannot write to /proc/nowhere/x"),
        (["--out", "a-file/x"], "cannot write to a-file/x: Not a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_reported_in_one_message(words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    ended = called(*words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_all_mistakes_of_a_study_are_reported_at_once(tmp_path: Path) -> None:
    wrong = STUDY.replace('"digits"', '"digit"').replace("seeds = [0]", "sedes = [0]")
    (tmp_path / "mine.toml").write_text(wrong)
    ended = called("run", "mine.toml")
    assert ended.returncode == 2
    assert "mine.toml: workload.data: 'digit' is unknown; did you mean 'digits'?" in ended.stderr
    assert "mine.toml: sedes: unknown key; did you mean 'seeds'?" in ended.stderr
    assert "mine.toml: seeds: missing" in ended.stderr


def test_what_is_not_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY + "[workload\n")
    ended = called("run", "mine.toml")
    assert ended.returncode == 2
    assert "mine.toml: not TOML" in ended.stderr
    assert "line 8" in ended.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.precision=fp8", "training.precision: fp8 needs an NVIDIA GPU"),
        ("methods.early_bird={low_precision='all', low='tf32'}", "methods.early_bird: tf32 needs"),
        ("workload.model=torchvision/resnet19", "did you mean 'resnet18'?"),
        ("workload.model=torchvision/fcn_resnet50", "workload.model: "),
    ],
)
def test_what_this_machine_cannot_do_is_reported_before_any_run(
    change: str, message: str, harness: Harness, tmp_path: Path
) -> None:
    refused = harness("early_bird", "--seed", "0", "--set", change, env=NO_GPU)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("journal.jsonl"))


def test_a_refusal_does_not_stand_in_the_way_of_other_settings(harness: Harness) -> None:
    words = ("dense", "--seed", "0", "--set", "training.epochs=1", "--out", "out")
    assert harness(*words, "--set", "training.precision=tf32", env=NO_GPU).returncode == 2
    right = harness(*words)
    assert right.returncode == 0, right.stderr
