"""The jobs of a study that are pending or running on a Slurm cluster, in one query.

How a job ended is in the run's own records, so that no accounting database is needed.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.submission import SubmissionFolder, submissions

TIMEOUT_S = 60
"""Time for a busy controller to answer."""
_FIELDS = "%i|%j|%K|%T|%r"
"""Job, name, place in its array, state, reason."""
_NO_ARRAY = "N/A"
MAX_ARRAY_SIZE = 1000
"""Slurm's default, if the cluster does not report its own."""


@dataclass(frozen=True)
class Job:
    """A job that waits or runs.

    Attributes:
        number: As the queue calls it, such as "123_4".
        state: Slurm's word, in lower case: "pending", "running", "completing" ...
        reason: Why it waits, in Slurm's word; empty if it does not say.
    """

    number: str
    state: str
    reason: str = ""

    @property
    def text(self) -> str:
        """In a few words."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"job {self.number} {self.state}{reason}"


def jobs_of(study: StudyFolder, settled: frozenset[str] = frozenset()) -> dict[str, Job]:
    """The jobs that wait or run, by the run that each is for ("dense/seed-0").

    Args:
        study: The results folder.
        settled: Runs that need no query, since they are done.

    Raises:
        UsageError: There were submissions, and the queue cannot be read.
    """
    asked: dict[str, list[str]] = {}
    for each in submissions(study):
        runs = each.runs()
        if not settled.issuperset(runs):
            asked[each.path.name] = runs
    if not asked:
        return {}
    found = {}
    output = _ask(
        "squeue",
        "--noheader",
        "--array",
        f"--format={_FIELDS}",
        f"--name={','.join(sorted(asked))}",
    )
    for line in output.splitlines():
        number, name, index, state, reason = line.strip().split("|", 4)
        place = 0 if index == _NO_ARRAY else int(index)
        reason = "" if reason == "None" else reason
        found[asked[name][place]] = Job(number, state.lower(), reason)
    return found


def ended_jobs(study: StudyFolder, runs: frozenset[str]) -> dict[str, SubmissionFolder]:
    """The last submission of each of some runs that was submitted at all."""
    found = {}
    for each in submissions(study):
        found.update(dict.fromkeys(runs.intersection(each.runs()), each))
    return found


def longest_array() -> int:
    """Maximum number of jobs in an array.

    Raises:
        UsageError: There is no cluster here, or it does not answer.
    """
    found = re.search(
        r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE
    )
    return max(1, int(found[1]) - 1) if found else MAX_ARRAY_SIZE


def _ask(*command: str) -> str:
    """The output of a Slurm command."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        problem = "not found; run this on a submit node"
    except subprocess.TimeoutExpired:
        problem = f"no answer within {TIMEOUT_S} s"
    else:
        if ended.returncode == 0:
            return ended.stdout
        problem = (
            ended.stderr.strip().split("\n")[0] or f"it ended with exit code {ended.returncode}"
        )
    raise UsageError(f"cannot query Slurm: {command[0]}: {problem}")
