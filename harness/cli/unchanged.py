"""Whether new runs would join old ones that were made of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.catalogue import DATA
from harness.errors import UsageError
from harness.results.fingerprint import Fingerprint, difference, fingerprint_of
from harness.results.glance import status_of
from harness.settings import WHEREABOUTS
from harness.source import code_of
from harness.workloads.identity import identity_of

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.results.folder import StudyFolder
    from harness.settings import WorkloadChoice
    from harness.spec import RunSpec

_SPOILT = frozenset({"failed", "planned", "damaged"})
"""Runs whose work enters no mean, and is not resumed: those may have been made of anything."""
_NOT_WHICH = frozenset({*WHEREABOUTS, "input"})
"""Keys of the workload that variants and machines of a study may differ in on the same data."""


def check_unchanged(folder: StudyFolder, missing: list[RunSpec], registry: Registry) -> None:
    """Find out whether runs that are missing are of the code and data of those that are there.

    Data of other packages are loaded, and looked at, in any case.

    Raises:
        UsageError: They are not, or the data are not as they must be; the message names what
            changed, and what to do.
    """
    methods = {spec.method: registry.get(spec.method).__module__ for spec in missing}
    workloads = {_name(spec.workload): spec.workload for spec in missing}
    data = {
        name: _foreign_identity(workload)
        for name, workload in workloads.items()
        if not DATA.is_own(workload.data)
    }
    code: dict[tuple[str | None, str], dict[str, list[str]]] = {}
    for run in folder.runs():
        if status_of(run) in _SPOILT or (known := fingerprint_of(run)) is None:
            continue
        spec = run.read_spec()
        name = _name(spec.workload)
        if name not in workloads:
            continue
        workload = workloads[name]
        method = spec.method if spec.method in methods else None
        if (method, name) not in code:
            code[method, name] = code_of(methods[method] if method else None, workload)
        if known.data_hash and name not in data:
            data[name] = identity_of(workload)
        now = Fingerprint(code[method, name], data.get(name, {}))
        if method is None:  # another method: what both share is the workload
            known = Fingerprint({each: known.code.get(each, ()) for each in now.code}, known.data)
        if said := difference(known, now, spec.method):
            raise UsageError(
                f"{run.path} was made {said}; new runs cannot be compared with it: undo the "
                "change, or give this study another folder with --out"
            )


def _name(workload: WorkloadChoice) -> str:
    """What decides which samples and which model a run has."""
    return workload.model_dump_json(exclude=set(_NOT_WHICH))


def _foreign_identity(workload: WorkloadChoice) -> dict[str, Any]:
    from harness.workloads.checked import check_foreign  # which takes torch

    return check_foreign(workload)
