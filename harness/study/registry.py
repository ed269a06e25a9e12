"""The methods that exist: files in `methods/`, entry points of other packages, plugin files."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from harness.errors import UsageError, nearest
from harness.method.base import Method
from harness.utils.own_packages import check_own
from harness.utils.packages import entry_points_of

ENTRY_POINTS = "energy_harness.methods"
"""Entry-point group: each names a `Method` subclass, or a module with some."""


class Registry:
    """Methods by name; a name stands for one method only."""

    def __init__(self) -> None:
        self._methods: dict[str, type[Method]] = {}

    @classmethod
    def discover(cls, plugins: tuple[str, ...] = ()) -> Registry:
        """All methods of this machine, and those of the given Python files."""
        registry = cls()
        import methods

        check_own(methods)
        for module in pkgutil.iter_modules(methods.__path__):
            registry.add_module(importlib.import_module(f"methods.{module.name}"))
        for entry in entry_points_of(ENTRY_POINTS):
            registry._add_entry(entry.name, entry.load)
        for path in plugins:
            registry.add_file(path)
        return registry

    def _add_entry(self, name: str, load: object) -> None:
        try:
            found = load()  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - a third-party package must not end the harness with a traceback
            raise UsageError(f"entry point {ENTRY_POINTS}:{name} does not load: {error}") from None
        if isinstance(found, ModuleType):
            self.add_module(found)
        else:
            self.add(found, f"entry point {name}")

    def add(self, method: object, origin: str) -> None:
        """Register one method.

        Raises:
            UsageError: Not a method, or its name is taken.
        """
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise UsageError(f"{origin}: {method!r} is not a subclass of harness.Method")
        name = method.method_name()
        other = self._methods.setdefault(name, method)
        if other is not method:
            raise UsageError(
                f"{origin}: a method named '{name}' exists already, in {inspect.getfile(other)}"
            )

    def add_module(self, module: ModuleType) -> list[str]:
        """Register the methods that a module defines (not those it imports); their names."""
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Method)
            and value.__module__ == module.__name__
            and value.phases is not Method.phases
        ]
        for method in found:
            self.add(method, str(module.__file__))
        return [method.method_name() for method in found]

    def add_file(self, path: str) -> list[str]:
        """Register the methods of a Python file; their names.

        Raises:
            UsageError: No such file, it does not run, or it holds no method.
        """
        file = Path(path).resolve()
        if not file.is_file():
            raise UsageError(f"plugin {path}: no such file")
        name = f"harness_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise UsageError(f"plugin {path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises becomes a message, not a traceback
            place = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise UsageError(f"plugin {path}{place}: {type(error).__name__}: {error}") from None
        found = self.add_module(module)
        if not found:
            raise UsageError(f"plugin {path}: defines no subclass of harness.Method with phases")
        return found

    def names(self) -> list[str]:
        """All names, in alphabetical order."""
        return sorted(self._methods)

    def get(self, name: str) -> type[Method]:
        """The method called `name`.

        Raises:
            UsageError: There is none; the message names the nearest.
        """
        if name not in self._methods:
            raise UsageError(f"method '{name}' is unknown; {nearest(name, self._methods)}")
        return self._methods[name]
