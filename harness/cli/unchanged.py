"""Whether new runs would join old ones that were made of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.catalogue import DATA
from harness.errors import UsageError
from harness.results.fingerprint import changed_code, fingerprint_of
from harness.results.glance import status_of
from harness.settings import WHEREABOUTS
from harness.source import code_of
from harness.workloads.identity import identity_of

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.results.fingerprint import Fingerprint
    from harness.results.folder import RunFolder, StudyFolder
    from harness.settings import WorkloadChoice
    from harness.spec import RunSpec

_SPOILT = frozenset({"failed", "planned", "damaged"})
"""Runs whose work enters no mean, and is not resumed: those may have been made of anything."""
_GO_ON = "give this study another folder with --out, or"


def check_unchanged(folder: StudyFolder, missing: list[RunSpec], registry: Registry) -> None:
    """Find out whether runs that are missing are of the code and data of those that are there.

    Raises:
        UsageError: They are not; the message names what changed, and how to go on.
    """
    if not missing:
        return
    code: dict[str, dict[str, list[str]]] = {}
    for spec in missing:
        module = registry.get(spec.method).__module__
        code.setdefault(spec.method, code_of(module, spec.workload))
    workloads = {_name(spec.workload): spec.workload for spec in missing}
    data: dict[str, dict[str, Any]] = {}
    for run in folder.runs():
        if status_of(run) in _SPOILT or (known := fingerprint_of(run)) is None:
            continue
        spec, where = run.read_spec(), _name(run.read_spec().workload)
        if spec.method in code:
            _check_code(run, spec.method, changed_code(known.code, code[spec.method]))
        if where in workloads and known.data_hash:
            if where not in data:
                data[where] = _identity(workloads[where])
            _check_data(run, known, data[where])


def _check_code(run: RunFolder, method: str, changed: list[str]) -> None:
    if changed:
        verb = "has" if len(changed) == 1 else "have"
        raise UsageError(
            f"{run.path} was made with other code of {method}: {', '.join(changed)} {verb} changed "
            f"since, and runs of both would be averaged as one method; {_GO_ON} undo the change"
        )


def _check_data(run: RunFolder, known: Fingerprint, now: dict[str, Any]) -> None:
    if known.data_hash == now["digest"]:
        return
    before, after = _counts(known.data), _counts(now)
    what = f"{before} then, {after} now" if before != after else "other names, sizes or contents"
    raise UsageError(
        f"{run.path} was made with other data ({what}), and runs on both would be compared as one "
        f"workload; {_GO_ON} give it the old data back"
    )


def _counts(data: Any) -> str:
    counted = [f"{data[part]} {part}" for part in ("train", "test") if part in data]
    return f"{' and '.join(counted)} images" if counted else ""


def _name(workload: WorkloadChoice) -> str:
    """What decides which samples there are, but for where they are."""
    return workload.model_dump_json(exclude=set(WHEREABOUTS))


def _identity(workload: WorkloadChoice) -> dict[str, Any]:
    if DATA.is_own(workload.data):
        return identity_of(workload)
    return identity_of(workload, DATA.load(workload.data)(workload))
