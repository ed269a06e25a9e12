"""Imports go one way: a room uses those below it, never one above or beside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FLOORS = (
    ("harness.errors",),
    ("harness.utils",),
    ("harness.settings",),
    ("harness.energy", "harness.pruning"),
    ("harness.method", "harness.workloads"),
    ("harness.network", "harness.study", "harness.training"),
    ("harness.results",),
    ("harness.api", "harness.runner", "reports"),
    ("harness.integrations", "harness.scheduler"),
    ("harness.cli",),
    ("harness.__main__",),
)
"""From the ground up. Imports within functions count, and those for types alone."""
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
PUBLIC = ("harness", "methods")
"""No rooms: the public names, imported when first used, and the methods, found by their folder."""


def room_of(module: str) -> str:
    top, *rest = module.split(".")
    return f"{top}.{rest[0]}" if top == "harness" and rest else top


def modules(tree: ast.Module) -> Iterator[str]:
    """Every module of ours that a file imports."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "harness":
            names = [f"harness.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            room = room_of(name)
            if name.split(".")[0] in ("harness", "methods", "reports"):
                yield room if room in FLOOR_OF or room == "methods" else "harness"


def imports() -> Iterator[tuple[str, str, str]]:
    """Every import of ours: the file, its room, and the room that it imports from."""
    for top in ("harness", "methods", "reports"):
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            place = path.relative_to(REPOSITORY)
            inside = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
            for target in modules(ast.parse(path.read_text("utf-8"))):
                if target != room_of(inside):
                    yield str(place), room_of(inside), target


def upward() -> list[str]:
    """Imports of a room that is not below, a line each."""
    return [
        f"{file} imports {target}"
        for file, room, target in imports()
        if room not in PUBLIC and target not in PUBLIC and FLOOR_OF[target] >= FLOOR_OF[room]
    ]


def test_a_room_imports_only_from_rooms_below() -> None:
    assert upward() == []


def test_a_method_imports_only_public_names() -> None:
    assert {target for _, room, target in imports() if room == "methods"} == {"harness"}


def test_an_arrow_that_points_up_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "harness" / "settings" / "types.py"
    file.parent.mkdir(parents=True)
    file.write_text("def look():\n    from harness.cli import main\n")
    monkeypatch.setattr("tests.test_rooms.REPOSITORY", tmp_path)
    assert upward() == ["harness/settings/types.py imports harness.cli"]
