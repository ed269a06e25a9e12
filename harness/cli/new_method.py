"""`new-method` and `check-method`: from a name to a method that satisfies the contract."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode, UsageError
from harness.study.registry import Registry

if TYPE_CHECKING:
    from harness.runner.method_check import Finding

_METHOD = '''\
"""{title}: say here what it is, and whose idea."""

from harness import ChannelPruningMethod, Ratio, Shrink, Train


class {title}(ChannelPruningMethod):
    """Say in a sentence what it does, and which paper it follows."""

    prune_ratio: Ratio = 0.5
    """Share of the channels to drop."""

    def phases(self, budget):
        """Train half of the budget, shrink the network, train the rest."""
        half = budget.epochs // 2
        yield Train("search", epochs=half, l1_gamma=1e-4)
        mask = yield self.ticket(self.prune_ratio)
        yield Shrink(mask)
        yield Train("retrain", epochs=budget.epochs - half)
'''
_PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{dashed}"
version = "0.1.0"
description = "The method {name} for energy-harness"
requires-python = ">=3.11"
dependencies = ["energy-harness"]

[project.entry-points."energy_harness.methods"]
{name} = "{name}_method:{title}"

[tool.hatch.build.targets.wheel]
only-include = ["{name}_method.py"]
"""
_TEST = '''\
"""The method satisfies the contract: repeatable, resumable, all its work in phases."""

import pytest
from {name}_method import {title}

from harness import check_method


def test_it_keeps_its_word():
    broken = [finding.text for finding in check_method({title}()) if not finding.holds]
    assert broken == []


@pytest.mark.parametrize("prune_ratio", [0, 1, "half"])
def test_what_makes_no_sense_is_refused(prune_ratio):
    with pytest.raises(ValueError, match="prune_ratio"):
        {title}(prune_ratio=prune_ratio)
'''


def write_method(name: str, folder: Path, *, package: bool) -> None:
    """Write a method to begin with: a file, or an installable package with a test.

    Args:
        name: Of the method, in snake case.
        folder: Where to.
        package: Write a package.

    Raises:
        UsageError: The name is none, or taken, or a file is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise UsageError(f"{name}: must be in snake case, such as prune_halfway")
    if name in Registry.discover().names():
        raise UsageError(f"a method named '{name}' exists already; choose another name")
    words = {"name": name, "dashed": name.replace("_", "-")}
    words["title"] = "".join(word.capitalize() for word in name.split("_"))
    if package:
        root = folder / words["dashed"]
        files = {
            root / f"{name}_method.py": _METHOD,
            root / "pyproject.toml": _PROJECT,
            root / "tests" / "test_conformance.py": _TEST,
        }
        then = f"pip install -e {root}\n    python -m harness dense {name}\n    pytest {root}"
    else:
        file = folder / f"{name}.py"
        files = {file: _METHOD}
        then = (
            f"python -m harness check-method {file}\n"
            f"    python -m harness dense {name} --plugin {file}"
        )
    _write(files, words)
    click.echo(f"{', '.join(map(str, files))}: a method to begin with; next\n    {then}")


def _write(files: dict[Path, str], words: dict[str, str]) -> None:
    for path in files:
        if path.exists():
            raise UsageError(f"{path}: already exists; choose another name or folder")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(**words), "utf-8")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None


def try_methods(path: str, *, as_json: bool) -> ExitCode:
    """Try every method of a file, with its defaults; 3 if one does not satisfy the contract.

    Raises:
        UsageError: There is none, or the file does not load.
    """
    registry = Registry.discover()
    names = registry.add_file(path)
    if not names:
        raise UsageError(f"{path}: defines no method (a subclass of harness.Method with phases)")
    from harness.runner.method_check import check_method

    found: dict[str, list[Finding]] = {}
    for name in names:
        found[name] = []
        if not as_json:
            click.echo(name)
        for finding in check_method(registry.get(name)()):
            found[name].append(finding)
            if not as_json:
                click.echo(f"  {'ok  ' if finding.holds else 'FAIL'}  {finding.text}")
    if as_json:
        document = {
            name: [{"kept": each.holds, "what": each.text} for each in findings]
            for name, findings in found.items()
        }
        click.echo(json.dumps(document, indent=2))
    is_kept = all(finding.holds for findings in found.values() for finding in findings)
    return ExitCode.DONE if is_kept else ExitCode.RUNS_FAILED
