"""Merges results folders into one, such as those of several machines that share a study."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import UsageError
from harness.results.fingerprint import Fingerprint, difference, fingerprint_of
from harness.results.folder import LOCK, RunFolder, StudyFolder
from harness.settings.messages import tell
from harness.settings.settings import WHEREABOUTS
from harness.study.study import UntilDecided
from harness.utils.atomic_write import sync_folder, write_atomically

_OF_RUNS = frozenset({"methods", "seeds", "plugins", "limits", "energy"})
"""Keys of a study that select the runs of a folder, or that every run has in its own spec."""
_OF_MACHINES = frozenset(
    {
        "carbon.series",
        *(f"workload.{key}" for key in WHEREABOUTS),
        *(f"engine.{key}" for key in ("kind", "at_once", "slurm")),
    }
)
"""Keys that depend on the machine: its paths, and how runs are started; of the carbon series the
content is compared instead."""


class _Chosen(BaseModel):
    """The keys of a saved study that are united; older versions may lack some."""

    model_config = ConfigDict(extra="ignore")

    methods: dict[str, Any] = {}
    seeds: UntilDecided | list[int] = []
    plugins: list[str] = []


def merge(sources: Sequence[StudyFolder], target: Path) -> int:
    """Copy the runs of several folders into a new one; the sources are not changed.

    Records are copied byte by byte; derived files are left for `report`. A run that is in two
    folders with identical records counts once.

    Args:
        sources: Results of one study, at least two.
        target: Must not exist, or be empty; it is created whole or not at all.

    Returns:
        How many runs it holds.

    Raises:
        UsageError: The folders contradict each other, a process works on a run, or something cannot
            be read or written.
    """
    if len(sources) < 2:
        raise UsageError("merge needs at least two folders of results")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target}: already exists; choose a new folder with --out")
        study, runs, files = _together(sources), _runs(sources), _shared_files(sources)
        _check_made_alike(sources)
        place = target.resolve()  # "." has no name for the unfinished one to be derived from
        unfinished = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            _write(StudyFolder(unfinished), study, runs, files)
            unfinished.rename(place)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        where = error.filename or target
        raise UsageError(f"cannot merge: {where}: {error.strerror or error}") from None
    sync_folder(place.parent)
    return len(runs)


def _write(
    folder: StudyFolder, study: dict[str, Any], runs: dict[Path, RunFolder], files: dict[str, bytes]
) -> None:
    folder.path.mkdir(parents=True)
    write_atomically(folder.settings, json.dumps(study, indent=2).encode())
    for name, content in files.items():
        (folder.path / name).parent.mkdir(exist_ok=True)
        write_atomically(folder.path / name, content)
    for place, run in runs.items():
        shutil.copytree(run.path, folder.path / place, ignore=shutil.ignore_patterns(LOCK))
    os.sync()  # the sources may be deleted next


def _together(sources: Sequence[StudyFolder]) -> dict[str, Any]:
    """The study of all folders, with the methods and seeds of all."""
    first, *others = [(source.path, source.read_study()) for source in sources]
    path, study = first
    for other_path, other in others:
        for key, mine, theirs in _differing(study, other):
            raise UsageError(
                f"{key} is {mine!r} in {path}, but {theirs!r} in {other_path}; "
                "only folders of one study can be merged (`report` takes several side by side)"
            )
        version = max(study["schema_version"], other["schema_version"])
        united = _united(_chosen(path, study), _chosen(other_path, other))
        study = {**other, **study, **united, "schema_version": version}
    return study


def _chosen(path: Path, study: dict[str, Any]) -> _Chosen:
    try:
        return _Chosen(**study)
    except ValidationError as error:
        raise UsageError(f"{path}: damaged study: {tell(error, _Chosen)}") from None


def _differing(first: Any, second: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Keys that both have, with different values; older versions may lack some."""
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


def _united(first: _Chosen, second: _Chosen) -> dict[str, Any]:
    """The methods, seeds and plugins of both studies."""
    methods = dict(first.methods)
    for name, given in second.methods.items():
        tables = _tables(methods.get(name, []))
        tables = tables + [table for table in _tables(given) if table not in tables]
        methods[name] = tables[0] if len(tables) == 1 else tables
    return {
        "methods": methods,
        "seeds": _seeds(first.seeds, second.seeds),
        "plugins": list(dict.fromkeys(first.plugins + second.plugins)),
    }


def _seeds(first: UntilDecided | list[int], second: UntilDecided | list[int]) -> Any:
    """The seeds of both; a rule is only joined with the same rule."""
    if isinstance(first, list) and isinstance(second, list):
        return list(dict.fromkeys(first + second))
    if first != second:
        raise UsageError(
            "seeds: one folder adds seeds until decided, and the other lists seeds or has another "
            "rule; verdicts from both together would hold under neither"
        )
    return first.model_dump(mode="json") if isinstance(first, UntilDecided) else first


def _tables(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _runs(sources: Sequence[StudyFolder]) -> dict[Path, RunFolder]:
    """From paths within the results folder to the runs that go there."""
    found: dict[Path, RunFolder] = {}
    for source in sources:
        for run in source.runs_and_trials():
            run.read_spec()  # a damaged one is reported here, not by the next `report`
            _check_at_rest(run)
            place = run.path.relative_to(source.path)
            if place in found and not _same(found[place], run):
                raise UsageError(
                    f"{found[place].path} and {run.path}: conflicting records of the same run; "
                    "remove one of the two"
                )
            found.setdefault(place, run)
    if not found:
        raise UsageError(f"{sources[0].path}: there are no runs yet, here or in the other folders")
    return found


def _check_made_alike(sources: Sequence[StudyFolder]) -> None:
    """A method's runs must have the same code and data, or a report would part them again."""
    known: dict[tuple[str, str | None], tuple[StudyFolder, RunFolder, Fingerprint]] = {}
    for source in sources:
        for run in source.runs_and_trials():
            found, spec = fingerprint_of(run), run.read_spec()
            if found is None:
                continue
            other, its_run, its_own = known.setdefault(
                (spec.method, spec.variant), (source, run, found)
            )
            if other is not source and (change := difference(its_own, found, spec.method)):
                raise UsageError(
                    f"beside {its_run.path}, {run.path} was made {change}; these are not runs of "
                    "one method (`report` takes several folders side by side)"
                )


def _check_at_rest(run: RunFolder) -> None:
    for path in (run.path, *run.path.rglob("*")):
        if path.is_symlink():
            raise UsageError(
                f"{path}: is a link, which merge does not follow; copy what it points to"
            )
    holder = run.holder()
    if holder:
        raise UsageError(f"{run.path}: {holder} works on it; merge when it is done")


def _same(first: RunFolder, second: RunFolder) -> bool:
    """Whether two folders hold identical records."""
    names, others = (
        sorted(path.name for path in run.path.iterdir() if path.name != LOCK)
        for run in (first, second)
    )
    if names != others:
        return False
    _, differing, unreadable = filecmp.cmpfiles(first.path, second.path, names, shallow=False)
    return not differing and not unreadable


def _shared_files(sources: Sequence[StudyFolder]) -> dict[str, bytes]:
    """The raw files that all runs share, by name; answers about one grid are joined."""
    series = {source.carbon_series: _content(source.carbon_series) for source in sources}
    if len(set(series.values())) > 1:
        raise UsageError(f"{' and '.join(map(str, series))} are different carbon series")
    answers = b"".join(_content(source.carbon_live) for source in sources)
    lines = dict.fromkeys(answers.splitlines(keepends=True))
    files = {path.name: content for path, content in series.items()}
    files[sources[0].carbon_live.name] = b"".join(lines)
    trials = [_content(source.tuning.settings) for source in sources]
    place = sources[0].tuning.settings.relative_to(sources[0].path)
    files[str(place)] = next(filter(None, trials), b"")
    return {name: content for name, content in files.items() if content}


def _content(path: Path) -> bytes:
    """The content of a file, ending in a newline; empty if there is none, or it is a link."""
    if path.is_symlink() or not path.is_file():
        return b""
    content = path.read_bytes()
    return content + b"\n" if content and not content.endswith(b"\n") else content
