"""`selftest`: a sound installation passes, and what is broken is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import selftest
from tests import prepared
from tests.conftest import Harness

WITHOUT_DRAWING = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] in ("matplotlib", "reports")]:
    del sys.modules[name]
sys.modules["matplotlib"] = None  # as where it is not installed
from harness.cli.main import main
main()
"""


def test_a_sound_installation_passes(harness: Harness, tmp_path: Path) -> None:
    ended = harness("selftest", "--json")
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["sound"]) == (0, True), document
    assert [finding["sound"] for finding in document["findings"]] == [True] * 5
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_a_study_that_cannot_end_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text(WITHOUT_DRAWING)
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nshift 2\nexec {prepared.python()} {tmp_path}/broken.py "$@"\n')
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    from harness.cli.selftest import try_installation

    assert try_installation(as_json=False) == 3
    output = capsys.readouterr().out
    assert "--  a small study ended with 1: internal error" in output
    assert "→ install into a fresh environment" in output


def test_an_integral_that_loses_energy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest._known_power().holds
    whole = selftest.curves

    class Lossy:
        def __init__(self, curve: object) -> None:
            self.curve = curve

        def between(self, start_ns: int, end_ns: int) -> object:
            return self.curve.between(start_ns, end_ns - (end_ns - start_ns) // 100)

    monkeypatch.setattr(selftest, "curves", lambda *given: [Lossy(whole(*given)[0])])
    assert not selftest._known_power().holds
