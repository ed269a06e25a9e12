"""Where everything lies: one folder a study, one a run."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.atomic import write_atomically
from harness.energy.trace_file import pack
from harness.errors import UsageError
from harness.settings import WHEREABOUTS
from harness.spec import SCHEMA, RunSpec, folder_name
from harness.study import Study
from harness.validation import tell


@dataclass(frozen=True)
class RunFolder:
    """One run's files."""

    path: Path

    @property
    def spec(self) -> Path:
        """What was asked for."""
        return self.path / "spec.json"

    @property
    def journal(self) -> Path:
        """What happened when."""
        return self.path / "journal.jsonl"

    def trace(self, attempt: int) -> Path:
        """What was drawn when, in one attempt."""
        return self.path / f"trace-{attempt}.jsonl"

    def pack_traces(self) -> None:
        """Make compact files of the traces; one that cannot be packed stays as it is."""
        for trace in sorted(self.path.glob("trace-*.jsonl")):
            with suppress(OSError):
                pack(trace)

    @property
    def checkpoint(self) -> Path:
        """The newest state of training; of a finished run, its final weights."""
        return self.path / "checkpoint.pt"

    def snapshot(self, name: str) -> Path:
        """An earlier state that the method keeps under a name."""
        return self.path / f"snapshot-{folder_name(name)}.pt"

    @property
    def log(self) -> Path:
        """What the process printed, and its traceback if it failed."""
        return self.path / "log.txt"

    def read_spec(self) -> RunSpec:
        """The run's specification.

        Raises:
            UsageError: It is damaged, or was written by a newer version.
        """
        saved = _read_json(self.spec)
        _check_schema(saved.get("schema_version"), self.spec)
        try:
            return RunSpec(**saved)
        except ValidationError as error:
            raise UsageError(f"{self.spec}: damaged: {tell(error, RunSpec)}") from None


@dataclass(frozen=True)
class StudyFolder:
    """The results of one study."""

    path: Path

    @property
    def settings(self) -> Path:
        """The study as it was run."""
        return self.path / "study.json"

    @property
    def table_csv(self) -> Path:
        """The tidy table of all runs."""
        return self.path / "runs.csv"

    @property
    def table_parquet(self) -> Path:
        """The same table, typed."""
        return self.path / "runs.parquet"

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.path / "report"

    def run(self, spec: RunSpec) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.path / "runs" / folder_name(spec.arm) / f"seed-{spec.seed}")

    def runs(self) -> list[RunFolder]:
        """All runs there are, in the order of their names."""
        return [RunFolder(found.parent) for found in sorted(self.path.glob("runs/*/*/spec.json"))]

    def read_study(self) -> dict[str, Any]:
        """The study as saved.

        Raises:
            UsageError: No results lie here, or they are of a newer version.
        """
        if not self.settings.exists():
            raise UsageError(f"{self.path}: no results here (no {self.settings.name})")
        saved = _read_json(self.settings)
        _check_schema(saved.get("schema_version"), self.settings)
        return saved

    def bind(self, study: Study, specs: list[RunSpec]) -> None:
        """Make the folder this study's, or check that it is.

        Methods and seeds may be added to a folder; what all runs share may not differ.

        Raises:
            UsageError: The folder cannot be written, or holds runs made with other settings.
        """
        wanted = {"schema_version": SCHEMA, **study.model_dump(mode="json")}
        if self.settings.exists():
            saved = self.read_study()
            if self.runs():
                self._check_same(saved, wanted)
        for spec in specs:
            folder = self.run(spec)
            if folder.spec.exists() and folder.read_spec().key != spec.key:
                raise UsageError(
                    f"{folder.path} holds a run with other settings under the same name; "
                    "give this study another folder with --out"
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.settings, json.dumps(wanted, indent=2).encode())
        except OSError as error:
            raise UsageError(f"cannot write to {self.path}: {error.strerror}") from None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other harness out of the folder meanwhile; the lock dies with the process.

        Raises:
            UsageError: Another one works there.
        """
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UsageError(
                    f"{self.path}: another harness works here: {file.read()}"
                ) from None
            file.truncate(0)
            since = datetime.now().astimezone().isoformat(timespec="seconds")
            file.write(f"process {os.getpid()} on {platform.node()} since {since}")
            file.flush()
            yield

    def _check_same(self, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
        for table in ("workload", "training"):
            for key, value in wanted[table].items():
                old = saved[table].get(key, value)
                if old != value and key not in WHEREABOUTS:
                    raise UsageError(
                        f"{self.path} holds runs with {table}.{key} = {old!r}, not {value!r}; "
                        "give this study another folder with --out"
                    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: damaged: {error}") from None
    if not isinstance(saved, dict):
        raise UsageError(f"{path}: damaged: not a JSON object")
    return saved


def _check_schema(version: object, path: Path) -> None:
    if not isinstance(version, int) or version > SCHEMA:
        raise UsageError(
            f"{path}: written in format {version}, this version reads up to {SCHEMA}; "
            "upgrade energy-harness"
        )
