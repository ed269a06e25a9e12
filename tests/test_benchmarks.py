"""Scripts of benchmarks: wrong options end them before they take their time."""

from __future__ import annotations

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("name", "option", "too_few"),
    [
        ("recorder_cost", "--pairs", "7"),
        ("input_pipeline", "--rounds", "1"),
        ("loop_overhead", "--rounds", "1"),
        ("inference", "--rounds", "1"),
        ("memory_format", "--rounds", "1"),
        ("other_work", "--rounds", "1"),
    ],
)
def test_too_few_rounds_for_an_interval_are_refused(
    name: str,
    option: str,
    too_few: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [name, option, too_few])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 2
    assert f"argument {option}: must be at least {int(too_few) + 1}" in capsys.readouterr().err
