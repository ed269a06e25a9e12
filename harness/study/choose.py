"""Choosing a study by the words and options of a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError, nearest
from harness.settings import messages
from harness.settings.messages import tell
from harness.study.claim_registry import look_up_claims
from harness.study.registry import Registry
from harness.study.study import Study

DEFAULT = "quick"


def choose_study(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
    until_decided: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> tuple[Study, Registry]:
    """The study that a command line means, and the methods it may use.

    Args:
        words: A study (file or built-in name), if any, then names of methods.
        seeds: Replace the study's, if any are given.
        plugins: Python files; their methods join the study's unless methods are named.
        changes: Settings as KEY=VALUE.
        commands: Names of commands, which a misspelt word may have meant.
        until_decided: MIN-MAX: a rule for the seeds in place of the study's.
        values: Further settings by dotted key, such as {"training.epochs": 20}; None is a value.

    Raises:
        UsageError: Any of it is wrong.
    """
    source, chosen = _split(words)
    settings, origin, folder = _read(source)
    listed = settings.get("plugins", [])
    own = [str(folder / path) for path in listed] if isinstance(listed, list) else []
    settings["plugins"] = [*own, *(str(Path(path).resolve()) for path in plugins)]
    _find_files(settings, folder)
    for change in changes:
        _apply(change, settings)
    for key, value in (values or {}).items():
        _set(key, value, settings, f"settings {key}")
    _find_files(settings, Path.cwd())
    look_up_claims(settings, origin)
    if seeds:
        settings["seeds"] = list(seeds)
    if until_decided is not None:
        if seeds:
            raise UsageError("--until-decided: not together with --seed")
        settings["seeds"] = {"until": "decided", **_range(until_decided)}
    registry = Registry.discover(tuple(own))
    added = [name for path in plugins for name in registry.add_file(path)]
    for word in chosen:
        _check_word(word, registry, commands)
    _choose_methods(settings, chosen, added, registry, origin)
    try:
        return Study(**settings), registry
    except ValidationError as error:
        lines = tell(error, Study).splitlines()
        raise UsageError("\n".join(f"{origin}: {line}" for line in lines)) from None


def _range(text: str) -> dict[str, int]:
    found = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text)
    if not found:
        raise UsageError(f"--until-decided {text}: must be MIN-MAX, such as 3-10")
    return {"min": int(found[1]), "max": int(found[2])}


def built_in_studies() -> list[str]:
    """Names of the studies that come with the harness."""
    found = files("harness.study").joinpath("studies").iterdir()
    return sorted(each.name.removesuffix(".toml") for each in found if each.name.endswith(".toml"))


def _split(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if words and (words[0].endswith(".toml") or "/" in words[0] or words[0] in built_in_studies()):
        return words[0], words[1:]
    return DEFAULT, words


def _read(source: str) -> tuple[dict[str, Any], str, Path]:
    """Settings, what to call their origin in messages, and where relative paths begin."""
    if source in built_in_studies():
        text = files("harness.study").joinpath("studies", f"{source}.toml").read_text("utf-8")
        return messages.parse(text), f"study {source}", Path.cwd()
    path = Path(source)
    try:
        with path.open("rb") as file:
            content = file.read(messages.MAX_BYTES + 1)
        return messages.parse(content.decode()), source, path.resolve().parent
    except OSError as error:
        raise UsageError(f"study {source}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"study {source}: not TOML: {error}") from None


def _find_files(settings: dict[str, Any], folder: Path) -> None:
    """Make paths in settings absolute; one that is so already stays."""
    for table, key in (("carbon", "series"), ("workload", "root"), ("workload", "weights")):
        values = settings.get(table)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key]:
            values[key] = str(folder / values[key])


def _apply(change: str, settings: dict[str, Any]) -> None:
    key, equals, text = change.partition("=")
    if not equals or not all(key.split(".")):
        raise UsageError(f"--set {change}: must be KEY=VALUE, such as training.epochs=20")
    _set(key, _value(text), settings, f"--set {change}")


def _set(key: str, value: Any, settings: dict[str, Any], origin: str) -> None:
    *tables, last = key.split(".")
    place = settings
    for table in tables:
        place = place.setdefault(table, {})
        if not isinstance(place, dict):
            raise UsageError(f"{origin}: '{table}' is a value, not a table")
    place[last] = value


def _value(text: str) -> Any:
    try:
        return messages.parse(f"value = {text}")["value"]
    except ValueError:
        return text


def _choose_methods(
    settings: dict[str, Any],
    chosen: tuple[str, ...],
    added: list[str],
    registry: Registry,
    origin: str,
) -> None:
    listed = settings.get("methods")
    if not isinstance(listed, dict):
        listed = {}
    for name in listed:
        if name not in registry.names():
            raise UsageError(
                f"{origin}: methods.{name}: unknown method; {nearest(name, registry.names())}"
            )
    names = list(dict.fromkeys(chosen or (*listed, *added)))
    if names:
        settings["methods"] = {name: listed.get(name, {}) for name in names}


def _check_word(word: str, registry: Registry, commands: tuple[str, ...]) -> None:
    if word not in registry.names():
        known = {*registry.names(), *built_in_studies(), *commands}
        raise UsageError(f"'{word}' is no method, study or command; {nearest(word, known)}")
