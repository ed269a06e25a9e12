"""Nothing that reads results can be made to run a program: no pickle, nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ROOMS = ("harness", "methods", "reports")
SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
PLAIN = "plain_pickle.py"
"""It reads CIFAR's files, and builds arrays, lists and dictionaries alone."""


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Every call of an attribute of a name, such as torch.load, with its keywords."""
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = f"{called.value.id}.{called.attr}"
            yield name, {each.arg or "": each.value for each in node.keywords}


def test_no_source_unpickles() -> None:
    assert len(SOURCES) > 150
    assert any("torch.load" in path.read_text("utf-8") for path in SOURCES)
    for path in SOURCES:
        _check(path)


def _check(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(each.name for each in node.names)]
    }
    assert path.name == PLAIN or not imported & PICKLING, path
    for name, keywords in calls(tree):
        assert name not in ("pd.read_pickle", "pandas.read_pickle"), path
        if name == "torch.load":
            assert ast.literal_eval(keywords["weights_only"]) is True, path
        if name in ("np.load", "numpy.load"):
            assert not ast.literal_eval(keywords.get("allow_pickle", ast.Constant(False))), path
