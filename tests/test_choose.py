"""A study file, and how the command line narrows and changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.study.choose import choose_study
from harness.study.study import Study
from tests.test_registry import PLUGIN

STUDY = """
name = "mine"
seeds = [3, 4]
plugins = ["plugins/half.py"]
[workload]
data = "digits"
model = "vgg_small"
[training]
epochs = 5
[methods.dense]
[methods.half_the_time]
share = 0.25
[methods.early_bird]
prune_ratio = [0.3, 0.7]
[carbon]
country = "FRA"
series = "grid.csv"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "half.py").write_text(PLUGIN)
    (tmp_path / "mine.toml").write_text(STUDY)
    return str(tmp_path / "mine.toml")


def choose(*words: str, seeds: tuple[int, ...] = (), plugin: str = "", change: str = "") -> Study:
    study, _ = choose_study(
        words, seeds, (plugin,) if plugin else (), (change,) if change else (), ("run", "report")
    )
    return study


def test_a_file_is_taken_as_it_stands_with_plugins_beside_it(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    study = choose(file)
    assert study.seeds == (3, 4)
    assert list(study.methods) == ["dense", "half_the_time", "early_bird"]
    assert study.methods["half_the_time"] == {"share": 0.25}
    assert study.plugins == (str(tmp_path / "plugins" / "half.py"),)
    assert study.carbon.country == "FRA"
    assert study.carbon.series == str(tmp_path / "grid.csv")


def test_a_path_on_the_command_line_begins_where_the_command_is_called(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    changed = choose(file, change="carbon.series=other.csv").carbon.series
    assert changed == str(tmp_path / "elsewhere" / "other.csv")
    assert choose(file).carbon.series == str(tmp_path / "grid.csv")


def test_methods_narrow_it_and_may_come_from_outside(file: str) -> None:
    study = choose(file, "early_bird", "progressive")
    assert study.methods == {"early_bird": {"prune_ratio": [0.3, 0.7]}, "progressive": {}}


def test_seeds_and_settings_change_it(file: str) -> None:
    study = choose(file, seeds=(9,), change="training.epochs=20")
    assert (study.seeds, study.training.epochs) == ((9,), 20)
    assert choose(file, change="training.schedule=cosine").training.schedule == "cosine"
    swept = choose(file, change="methods.dense={}").methods
    assert swept["dense"] == {}


def test_without_a_file_it_is_quick_and_a_plugin_joins_the_four(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(PLUGIN)
    plugin = str(tmp_path / "more.py")
    four = ["dense", "progressive", "lottery_ticket", "early_bird"]
    assert list(choose().methods) == four
    assert list(choose(plugin=plugin).methods) == [*four, "half_the_time"]
    assert list(choose("dense", plugin=plugin).methods) == ["dense"]
    assert list(choose("quick", "half_the_time", plugin=plugin).methods) == ["half_the_time"]


def test_a_plugin_beside_the_file_that_is_missing_is_reported(file: str, tmp_path: Path) -> None:
    (tmp_path / "plugins" / "half.py").unlink()
    with pytest.raises(UsageError, match=r"half\.py: no such file"):
        choose(file)


def test_values_from_python_are_no_toml(file: str) -> None:
    def with_values(**values: object) -> Study:
        settings = {key.replace("__", "."): value for key, value in values.items()}
        return choose_study((file,), (), (), (), (), values=settings)[0]

    assert with_values(carbon__series=None).carbon.series is None
    assert with_values(engine__options={"a": [1, "\U0001f600"]}).engine.options == {
        "a": [1, "\U0001f600"]
    }
    assert with_values(workload__root="null").workload.root == str(Path.cwd() / "null")
    with pytest.raises(UsageError, match=r"training\.epochs: should be .*, not None"):
        with_values(training__epochs=None)
    with pytest.raises(UsageError, match=r"settings name\.of: 'name' is a value, not a table"):
        with_values(name__of=1)
