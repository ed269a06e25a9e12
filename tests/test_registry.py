"""Methods are found in files, entry points and plugins; a name stands for one method."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Method
from harness.errors import UsageError
from harness.study.registry import Registry

PLUGIN = '''
from harness import Method, Ratio, Train

class HalfTheTime(Method):
    """Train for a share of the budget."""
    share: Ratio = 0.5
    """Share of the epochs."""

    def phases(self, budget):
        yield Train("train", epochs=round(budget.epochs * self.share))
'''


def test_the_four_are_there() -> None:
    assert {"dense", "progressive", "lottery_ticket", "early_bird"} <= set(
        Registry.discover().names()
    )


def test_names_are_the_class_names_in_snake_case() -> None:
    for name, expected in {
        "EarlyBird": "early_bird",
        "SNIP": "snip",
        "IMPRewind": "imp_rewind",
    }.items():
        assert type(name, (Method,), {"__module__": __name__}).method_name() == expected


def test_a_plugin_adds_its_methods(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    registry = Registry.discover((str(file),))
    assert registry.get("half_the_time")().share == 0.5


def test_an_entry_point_adds_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(PLUGIN)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[energy_harness.methods]\nhalf = their_package:HalfTheTime\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "half_the_time" in Registry.discover().names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines no subclass of harness.Method"),
        ("def broken(:", "line 1: SyntaxError"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        (PLUGIN.replace("HalfTheTime", "Dense"), "a method named 'dense' exists already"),
    ],
)
def test_a_wrong_plugin_is_reported(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        Registry.discover((str(file),))


def test_a_missing_plugin_is_reported() -> None:
    with pytest.raises(UsageError, match=r"plugin nowhere\.py: no such file"):
        Registry.discover(("nowhere.py",))


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a subclass"):
        Registry().add(dict, "somewhere")
