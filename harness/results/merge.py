"""One results folder out of several, such as those of several machines that share a study."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.atomic import sync_folder, write_atomically
from harness.errors import UsageError
from harness.hold import holder_of
from harness.results.carbon import LIVE, SERIES
from harness.results.folder import RunFolder, StudyFolder
from harness.settings import WHEREABOUTS

_OF_RUNS = frozenset({"methods", "seeds", "plugins", "limits", "energy"})
"""Keys of a study that say which of its runs a folder holds, or that every run says for itself."""
_OF_MACHINES = frozenset({"carbon.series", *(f"workload.{key}" for key in WHEREABOUTS)})
"""Keys that say where a machine has its files; the series itself is compared."""
_LOCK = ".lock"


def merge(sources: Sequence[StudyFolder], target: Path) -> int:
    """Copy the runs of several folders into a new one; the sources stay as they are.

    Records are copied byte by byte; what is derived is left for `report`. A run that lies in two
    folders with the very same records counts once.

    Args:
        sources: Results of one study, at least two.
        target: It does not exist, or is empty; it is there whole or not at all.

    Returns:
        How many runs it holds.

    Raises:
        UsageError: The folders contradict each other, somebody works on a run, or something cannot
            be read or written.
    """
    if len(sources) < 2:
        raise UsageError("merge needs at least two folders of results")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target}: is there already; choose a new folder with --out")
        study, runs, files = _together(sources), _runs(sources), _shared_files(sources)
        try:
            _write(StudyFolder(unfinished), study, runs, files)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        where = error.filename or target
        raise UsageError(f"cannot merge: {where}: {error.strerror or error}") from None
    sync_folder(target.parent)
    return len(runs)


def _write(
    folder: StudyFolder, study: dict[str, Any], runs: dict[Path, RunFolder], files: dict[str, bytes]
) -> None:
    folder.path.mkdir(parents=True)
    write_atomically(folder.settings, json.dumps(study, indent=2).encode())
    for name, content in files.items():
        write_atomically(folder.path / name, content)
    for place, run in runs.items():
        shutil.copytree(run.path, folder.path / place, ignore=shutil.ignore_patterns(_LOCK))
    os.sync()  # whoever merged may delete the sources next


def _together(sources: Sequence[StudyFolder]) -> dict[str, Any]:
    """The study that all folders are of, with the methods and seeds of all."""
    first, *others = [(source.path, source.read_study()) for source in sources]
    path, study = first
    for other_path, other in others:
        for key, mine, theirs in _differing(study, other):
            raise UsageError(
                f"{key} is {mine!r} in {path}, but {theirs!r} in {other_path}; "
                "only folders of one study can be merged (`report` takes several side by side)"
            )
        study = {**other, **study, **_united(study, other)}
    return study


def _differing(first: Any, second: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Keys that both have, with different values; older versions may say less."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        if first != second:
            yield place, first, second
        return
    for key in first:
        if key not in second or (not place and key in {*_OF_RUNS, "schema_version"}):
            continue
        if f"{place}.{key}" in _OF_MACHINES:
            continue
        yield from _differing(first[key], second[key], f"{place}.{key}" if place else key)
    if place == "variants" and list(first) != list(second):  # the first is the baseline
        yield place, list(first), list(second)


def _united(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The schema, methods, seeds and plugins of both studies."""
    methods = dict(first.get("methods", {}))
    for name, given in second.get("methods", {}).items():
        tables = _distinct([*_tables(methods.get(name, [])), *_tables(given)])
        methods[name] = tables[0] if len(tables) == 1 else tables
    return {
        "schema_version": max(first["schema_version"], second["schema_version"]),
        "methods": methods,
        **{
            key: _distinct([*first.get(key, []), *second.get(key, [])])
            for key in ("seeds", "plugins")
        },
    }


def _tables(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _distinct(values: list[Any]) -> list[Any]:
    return [value for n, value in enumerate(values) if value not in values[:n]]


def _runs(sources: Sequence[StudyFolder]) -> dict[Path, RunFolder]:
    """From the place within a results folder to the run that goes there."""
    found: dict[Path, RunFolder] = {}
    for source in sources:
        for run in source.runs():
            run.read_spec()  # a damaged one is told here, not by the next `report`
            _check_at_rest(run)
            place = run.path.relative_to(source.path)
            if place in found and not _same(found[place], run):
                raise UsageError(
                    f"{found[place].path} and {run.path} are two records of the same run; which "
                    "one counts is not for the harness to choose: merge without one of them"
                )
            found.setdefault(place, run)
    if not found:
        raise UsageError(f"{sources[0].path}: no runs here or in the others yet")
    return found


def _check_at_rest(run: RunFolder) -> None:
    for path in (run.path, *run.path.rglob("*")):
        if path.is_symlink():
            raise UsageError(f"{path}: is a link; what it leads to is not copied")
    lock = run.path / _LOCK
    holder = holder_of(lock) if lock.exists() else None
    if holder:
        raise UsageError(f"{run.path}: {holder} works on it; merge when it is done")


def _same(first: RunFolder, second: RunFolder) -> bool:
    """Whether two folders hold the very same records."""
    names, others = (
        sorted(path.name for path in run.path.iterdir() if path.name != _LOCK)
        for run in (first, second)
    )
    if names != others:
        return False
    _, differing, unreadable = filecmp.cmpfiles(first.path, second.path, names, shallow=False)
    return not differing and not unreadable


def _shared_files(sources: Sequence[StudyFolder]) -> dict[str, bytes]:
    """The raw files that all runs share, by name: answers about one grid are joined."""
    series = {source.path: _content(source.path / SERIES) for source in sources}
    if len(set(series.values())) > 1:
        raise UsageError(f"{SERIES} is not the same in {' and '.join(map(str, series))}")
    answers = [_content(source.path / LIVE) or b"" for source in sources]
    lines = _distinct([line for each in answers for line in each.splitlines()])
    files = {SERIES: next(iter(series.values())), LIVE: b"".join(line + b"\n" for line in lines)}
    return {name: content for name, content in files.items() if content}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None
