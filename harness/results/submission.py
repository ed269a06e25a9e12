"""Records what was submitted to a queue: one folder per submission."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.results.folder import RunFolder, StudyFolder, read_saved
from harness.settings.run_spec import SCHEMA, RunSpec
from harness.utils.atomic_write import write_atomically


@dataclass(frozen=True)
class SubmissionFolder:
    """One submission to a queue: an array of jobs, one per run, and their output.

    Its name is the jobs' name there and unique: a queue that is set up again numbers its jobs from
    1.
    """

    path: Path

    @property
    def record(self) -> Path:
        """The run of each job in the array."""
        return self.path / "submission.json"

    def spec(self, index: int) -> Path:
        """The specification of a job in the array."""
        return self.path / f"{index}.spec.json"

    def log(self, index: int) -> Path | None:
        """The newest output of that job, if it ever began."""
        found = list(self.path.glob(f"*_{index}_0_log.out"))
        if not found and len(self.runs()) == 1:  # an array of one is a plain job
            found = list(self.path.glob("*_0_log.out"))
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def runs(self) -> list[str]:
        """The runs in the order of the array, as ARM/seed-N.

        Raises:
            UsageError: The record is damaged, or of a newer version.
        """
        return [str(run) for run in read_saved(self.record).get("runs", [])]

    def write(self, specs: list[RunSpec], runs: list[RunFolder]) -> None:
        """Record what is about to be submitted.

        Raises:
            OSError: It cannot be written.
        """
        self.path.mkdir(parents=True)
        for index, spec in enumerate(specs):
            self.spec(index).write_text(spec.model_dump_json(indent=2), "utf-8")
        record = {"schema_version": SCHEMA, "runs": [run.name for run in runs]}
        write_atomically(self.record, json.dumps(record, indent=2).encode())

    def withdraw(self) -> None:
        """Remove the record: the queue did not accept it."""
        shutil.rmtree(self.path, ignore_errors=True)


def submission(study: StudyFolder, name: str) -> SubmissionFolder:
    """The folder of a submission of a study's runs."""
    return SubmissionFolder(study.path / "submissions" / name)


def submissions(study: StudyFolder) -> list[SubmissionFolder]:
    """All submissions of a study, oldest first.

    Raises:
        UsageError: A record cannot be read.
    """
    found = study.path.glob("submissions/*/submission.json")
    return [SubmissionFolder(each.parent) for each in sorted(found, key=_written_at)]


def _written_at(record: Path) -> tuple[float, str]:
    return record.stat().st_mtime, record.parent.name
