"""Which packages of an extra are installed here."""

from __future__ import annotations

from importlib.util import find_spec


def not_installed(*modules: str) -> list[str]:
    """The packages of those modules that cannot be imported."""
    return [module.partition(".")[0] for module in modules if not _is_there(module)]


def _is_there(module: str) -> bool:
    """Whether there is code; an empty folder of that name is none."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        return False
    return found is not None and found.origin is not None
