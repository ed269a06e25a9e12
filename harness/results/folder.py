"""Names and reads the files of results: one folder per study, and in it one per run.

JSON files may have been written by this or an older version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.energy.trace_file import pack
from harness.errors import UsageError
from harness.settings.messages import tell
from harness.settings.report import ReportSettings
from harness.settings.run_spec import SCHEMA, RunSpec, folder_name
from harness.settings.settings import AS_RECORDED, WHEREABOUTS, Carbon
from harness.study.study import Study, UntilDecided
from harness.utils.atomic_write import write_atomically
from harness.utils.file_lock import Hold, Holder, hold, holder_of

LOCK = ".lock"
"""Name of the lock of a run, and of the study's; it is no record."""


@dataclass(frozen=True)
class RunFolder:
    """One run's files."""

    path: Path

    @property
    def name(self) -> str:
        """Its place among the runs, such as "dense/seed-0"."""
        return "/".join(self.path.parts[-2:])

    @property
    def spec(self) -> Path:
        """The run's specification."""
        return self.path / "spec.json"

    @property
    def journal(self) -> Path:
        """Its events, each with its moment."""
        return self.path / "journal.jsonl"

    @property
    def waits(self) -> Path:
        """How long its attempts waited for green electricity, a line each."""
        return self.path / "waits.jsonl"

    def trace(self, attempt: int, node: int = 0) -> Path:
        """The sensors' readings in one attempt, on one of its nodes."""
        return self.path / f"trace-{attempt}{f'.node-{node}' if node else ''}.jsonl"

    def pack_traces(self, node: int = 0) -> None:
        """Pack a node's traces into compact files; one that cannot be packed is left as it is."""
        for trace in sorted(self.path.glob("trace-*.jsonl")):
            number = trace.stem.removeprefix("trace-").partition(".")[0]
            if number.isdecimal() and trace == self.trace(int(number), node):
                with suppress(OSError):
                    pack(trace)

    def hold(self) -> Hold:
        """Take the run's lock; the folder is created if necessary.

        Raises:
            AlreadyHeld: Another process works on the run.
            OSError: Nothing can be written here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        return hold(self.path / LOCK)

    def holder(self) -> Holder | None:
        """The process that works on the run; None if there is none.

        Raises:
            OSError: It cannot be determined.
        """
        lock = self.path / LOCK
        return holder_of(lock) if lock.exists() else None

    def start_over(self) -> None:
        """Delete what the next attempt would resume from; records are kept."""
        self.checkpoint.unlink(missing_ok=True)
        for snapshot in self.path.glob("snapshot-*.pt"):
            snapshot.unlink()

    @property
    def checkpoint(self) -> Path:
        """The newest state of training; of a finished run, its final weights."""
        return self.path / "checkpoint.pt"

    @property
    def damaged_checkpoint(self) -> Path:
        """A checkpoint that could not be read, kept to find out why."""
        return self.path / "checkpoint.damaged.pt"

    def snapshot(self, name: str) -> Path:
        """An earlier state that the method saved under a name."""
        return self.path / f"snapshot-{folder_name(name)}.pt"

    @property
    def log(self) -> Path:
        """The output of the process, with its traceback if it failed."""
        return self.path / "log.txt"

    def read_spec(self) -> RunSpec:
        """The run's specification.

        Raises:
            UsageError: It is damaged, or was written by a newer version.
        """
        return read_spec(self.spec)


class _Saved(BaseModel):
    """The keys of a saved study that readers need; older versions may lack some."""

    model_config = ConfigDict(extra="ignore")

    name: str
    seeds: UntilDecided | list[Any] = []
    workload: dict[str, Any] = {}
    training: dict[str, Any] = {}
    variants: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    carbon: Carbon
    report: ReportSettings = ReportSettings()


@dataclass(frozen=True)
class StudyFolder:
    """The results of one study."""

    path: Path

    @property
    def settings(self) -> Path:
        """The study as it was run."""
        return self.path / "study.json"

    @property
    def carbon_series(self) -> Path:
        """A copy of the study's series of carbon factors, if it names one."""
        return self.path / "carbon_series.csv"

    @property
    def carbon_live(self) -> Path:
        """The answers of a live service about the grid, one line each."""
        return self.path / "carbon_live.jsonl"

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

    @property
    def tuning(self) -> StudyFolder:
        """The trials that chose its recipes, if it tunes them: results of a study of their own."""
        return StudyFolder(self.path / "tuning")

    def run(self, spec: RunSpec) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.path / "runs" / folder_name(spec.arm) / f"seed-{spec.seed}")

    def runs(self) -> list[RunFolder]:
        """All runs in the folder, ordered by name.

        Raises:
            UsageError: One of them is a link to elsewhere.
        """
        found = [RunFolder(each.parent) for each in sorted(self.path.glob("runs/*/*/spec.json"))]
        home = self.path.resolve()
        for run in found:
            if not run.path.resolve().is_relative_to(home):
                raise UsageError(f"{run.path}: is a link to outside {self.path}")
        return found

    def runs_and_trials(self) -> list[RunFolder]:
        """All runs, and the trials that chose their recipes; as `runs`."""
        return [*self.runs(), *self.tuning.runs()]

    def read_study(self) -> dict[str, Any]:
        """The study as saved.

        Raises:
            UsageError: There are no results here, or they are of a newer version.
        """
        if not self.settings.exists():
            raise UsageError(f"{self.path}: no results here (no {self.settings.name})")
        saved = read_saved(self.settings)
        try:
            _Saved(**saved)
        except (ValidationError, TypeError) as error:
            message = tell(error, _Saved) if isinstance(error, ValidationError) else str(error)
            raise UsageError(f"{self.settings}: damaged: {message}") from None
        return saved

    def study(self) -> Study:
        """The study as saved, to be continued.

        Raises:
            UsageError: There are no results here, or they are of another version.
        """
        saved = self.read_study()
        saved.pop("schema_version")
        try:
            return Study.model_validate(saved, context=AS_RECORDED)
        except ValidationError as error:
            raise UsageError(f"{self.settings}: {tell(error, Study)}") from None

    def bind(self, study: Study, specs: list[RunSpec]) -> None:
        """Make this the study's folder, or check that it is.

        Methods and seeds may be added to a folder; settings that all runs share may not differ.

        Raises:
            UsageError: The folder cannot be written, or holds runs made with other settings.
        """
        wanted = {"schema_version": SCHEMA, **study.model_dump(mode="json")}
        wanted["seeds"] = self._seeds(wanted)
        self._check(wanted, specs)  # once before anything is written, and again under the lock
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.alone():
                self._check(wanted, specs)
                write_atomically(self.settings, json.dumps(wanted, indent=2).encode())
        except OSError as error:
            raise UsageError(f"cannot write to {self.path}: {error.strerror}") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock what all runs share; waits until the lock is free."""
        held = hold(self.path / LOCK, wait=True)
        try:
            yield
        finally:
            held.release()

    def _check(self, wanted: dict[str, Any], specs: list[RunSpec]) -> None:
        if self.settings.exists():
            saved = self.read_study()
            if self.runs_and_trials():
                self._check_same(saved, wanted)
        for spec in specs:
            self.check_run(spec)

    def check_run(self, spec: RunSpec) -> None:
        """Check that the place of a run is free, or already holds this run.

        Raises:
            UsageError: It holds another run.
        """
        folder = self.run(spec)
        if folder.spec.exists() and folder.read_spec().key != spec.key:
            raise UsageError(
                f"{folder.path} holds a run with other settings under the same name; "
                "give this study another folder with --out"
            )

    def _seeds(self, study: dict[str, Any]) -> Any:
        """The seeds to save: a rule that runs have followed is kept, also if only some are picked.

        Raises:
            UsageError: The rule or margin differs, or seeds exceed it: a rule changed after a look
                at results has a higher error rate than stated.
        """
        there = self.read_study() if self.settings.exists() else {}
        saved, wanted = there.get("seeds"), study["seeds"]
        if not isinstance(saved, dict) or not self.runs():
            return wanted
        for key in ("margin_points", "margin"):
            new = study["report"][key]
            old = there.get("report", {}).get(key, new)
            if old != new:
                raise UsageError(
                    f"{self.path} holds runs whose seeds were decided by report.{key} = "
                    f"{_margin(old)}, not {_margin(new)}; the margin cannot change once there are "
                    "results: give this study another folder with --out"
                )
        if saved == wanted:
            return wanted
        if isinstance(wanted, list) and all(seed < saved["max"] for seed in wanted):
            return saved
        raise UsageError(
            f"{self.path} holds runs with seeds until decided ({saved['min']} to {saved['max']}); "
            "the rule cannot change once there are results: give this study another folder with "
            "--out"
        )

    def _check_same(self, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
        old, new = (each.get("engine", {}).get("gpus_per_run", 1) for each in (saved, wanted))
        if old != new:
            raise UsageError(
                f"{self.path} holds runs with engine.gpus_per_run = {old}, not {new}; their "
                "energies cannot be compared: give this study another folder with --out"
            )
        if saved.get("tuning", wanted["tuning"]) != wanted["tuning"] or (
            "tuning" not in saved and wanted["tuning"]["space"]
        ):
            raise UsageError(
                f"{self.path} holds runs whose recipes were tuned otherwise, or not at all; give "
                "this study another folder with --out"
            )
        for table in ("workload", "training"):
            for key, value in wanted[table].items():
                old = saved[table].get(key, value)
                if old != value and key not in WHEREABOUTS:
                    raise UsageError(
                        f"{self.path} holds runs with {table}.{key} = {old!r}, not {value!r}; "
                        "give this study another folder with --out"
                    )


def _margin(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def read_spec(path: Path) -> RunSpec:
    """Read a run's specification from a file.

    Raises:
        UsageError: It is damaged, or was written by a newer version.
    """
    saved = read_saved(path)
    try:
        return RunSpec.model_validate(saved, context=AS_RECORDED)
    except ValidationError as error:
        raise UsageError(f"{path}: damaged: {tell(error, RunSpec)}") from None


def read_saved(path: Path) -> dict[str, Any]:
    """Read a JSON file of a results folder.

    Raises:
        UsageError: It is damaged, or was written by a newer version.
    """
    try:
        saved = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: damaged: {error}") from None
    if not isinstance(saved, dict):
        raise UsageError(f"{path}: damaged: not a JSON object")
    version = saved.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA:
        raise UsageError(
            f"{path}: written in format {version}, this version reads up to {SCHEMA}; "
            "upgrade energy-harness"
        )
    return saved
