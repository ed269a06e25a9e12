"""Which source a run rests on: its method, and what that imports from the user's own files."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path

from harness.settings.catalogue import DATA, MODELS, TASKS
from harness.settings.settings import WorkloadChoice

_OURS = frozenset({"harness", "reports"})
"""Packages of the harness, of which the journal has the version."""
_LIBRARIES = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")
)
Hashes = list[str]
"""Of one file: of its bytes, then of its syntax tree without docstrings."""


def code_of(module: str | None, workload: WorkloadChoice) -> dict[str, Hashes]:
    """The source files that decide what a run does, each with its hashes; none is executed.

    Of installed packages the version stands for the files.

    Args:
        module: Name of the module that defines the method, which is imported; None leaves it out.
        workload: Its model, data and task count too, where another package gives them.
    """
    found: dict[str, Hashes] = {}
    if module:
        _add(module, found, is_root=True)
    chosen = ((MODELS, workload.model), (DATA, workload.data), (TASKS, workload.task))
    for catalogue, name in chosen:
        if name and name in catalogue and not catalogue.is_own(name):
            _add(catalogue[name].partition(":")[0], found, is_root=True)
    return found


@cache
def harness_hash() -> str:
    """A name for the harness's own source: a checkout changes between two versions, too."""
    home = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(home.rglob("*.py")):
        digest.update(str(file.relative_to(home)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _add(module: str, found: dict[str, Hashes], *, is_root: bool = False) -> None:
    """Add a module and what it imports, unless they are third-party."""
    top = module.partition(".")[0]
    file = None if top in _OURS else _file_of(module)
    if file is None:
        return
    if top != "methods" and _is_installed(file):
        if is_root:
            found[f"package {top}"] = [_version(top)]
        return
    name = file.name if module.startswith("harness_plugin_") else module
    if name in found:
        return
    source = file.read_bytes()
    with suppress(SyntaxError, ValueError):
        tree = ast.parse(source)
        found[name] = [_hash(source), _hash(ast.dump(_WithoutTexts().visit(tree)).encode())]
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for imported in _imports(tree, package):
            _add(imported, found)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Names of the modules that are, or may be, imported anywhere in a source file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                with suppress(ImportError):
                    base = importlib.util.resolve_name("." * node.level + base, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


class _WithoutTexts(ast.NodeTransformer):
    """Removes texts that stand alone, such as docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """The statement; None for a text."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _file_of(module: str) -> Path | None:
    """The source file of a module; None if it has none, or is not found."""
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None:
        with suppress(ImportError, AttributeError, ValueError):
            found = _found(module)
            origin = found.origin if found else None
    path = Path(origin).resolve() if origin else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _found(module: str) -> ModuleSpec | None:
    """The file of a module; `importlib.util.find_spec` would import the packages it is in."""
    top, *parts = module.split(".")
    found = importlib.util.find_spec(top)
    for part in parts:
        if found is None or found.submodule_search_locations is None:
            return None
        name = f"{found.name}.{part}"
        found = PathFinder.find_spec(name, list(found.submodule_search_locations))
    return found


def _is_installed(file: Path) -> bool:
    return any(file.is_relative_to(library) for library in _LIBRARIES) or not (
        {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    )


def _version(package: str) -> str:
    with suppress(Exception):  # packages that are called otherwise, or have no metadata
        return version(package)
    return "unknown"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
