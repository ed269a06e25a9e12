"""One attempt at a run, in the process that trains: journaled from its first moment to its last."""

from __future__ import annotations

import errno
import functools
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sklearn.datasets
import sklearn.model_selection
import torch
import torch._dynamo  # the first optimizer imports it: three seconds that no run should pay
import torchvision

from harness import __version__
from harness.errors import RunError, UsageError
from harness.method.phases import Finished
from harness.network.save import save_network
from harness.pruning.channel_mask import ChannelMask
from harness.pruning.dependency import VERSION as TORCH_PRUNING_VERSION
from harness.results.fingerprint import EVENT as FINGERPRINT
from harness.results.fingerprint import Fingerprint, difference, fingerprint_of
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Status
from harness.results.journal_writer import JournalWriter, SilentJournal
from harness.results.run_energy import Ledger
from harness.runner.code_fingerprint import code_of, harness_hash
from harness.runner.phase_executor import PhaseContext
from harness.runner.run_method import run_method
from harness.settings.arm_selector import Selector
from harness.settings.run_spec import RunSpec
from harness.study.registry import Registry
from harness.training.checkpoint import Checkpoint
from harness.training.device import one_thread_if_small, wait_for
from harness.training.distributed.world import ALONE, World, is_silence
from harness.training.memory import is_out_of_memory
from harness.training.state import TrainingState
from harness.utils.parent_death import STOPPED
from harness.workloads.workload import open_workload

_PLACE_FAILED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})
"""What a full, withdrawn or broken disk answers."""

LAUNCHER_S = 5.0
"""Time for others to say why they ended; the launcher sees them within a tenth of a second."""


class Stopped(BaseException):
    """Raised in a run that must stop; not an error."""


class MadeOtherwiseError(RunError):
    """The run was begun with other code or data than are here now; with those it can go on."""


@dataclass(frozen=True)
class RunContext:
    """What one process works with.

    Attributes:
        spec: The run.
        folder: The run's folder.
        device: What this process computes on.
        world: The processes that work together.
        gpus: UUIDs of all their GPUs.
        one_thread_if_small: Use a single CPU thread where the network is small.
    """

    spec: RunSpec
    folder: RunFolder
    device: torch.device
    world: World = ALONE
    gpus: tuple[str, ...] = ()
    one_thread_if_small: bool = True


def attempt(
    context: RunContext,
    announce: Callable[[], None],
    shared_with: Sequence[str] = (),
    order: Callable[[], tuple[str, str | None] | None] = lambda: None,
) -> str | None:
    """One attempt, journaled from its first moment to its last.

    Returns:
        Why results could not be written; None if they could.
    """
    folder, device, world = context.folder, context.device, context.world
    try:
        journal = JournalWriter(
            folder.journal, functools.partial(wait_for, device), announce, world.barrier
        )
    except OSError as error:
        return _cannot_store(error, folder) or f"{folder.path}: {error}"
    try:
        try:
            number = len(Journal(folder).attempts) + 1
            start, damage = _restored(folder, device)
            world.barrier()
            journal.event(
                "attempt",
                durable=True,
                number=number,
                restored=start.number if start else 0,
                damage=damage,
                gpus=context.gpus,
                gpu_shared_with=list(shared_with),
                processes=world.size,
                **_environment(device),
            )
            _look_at_clocks(world, journal)
            _run(context, journal, start)
            _look_at_clocks(world, journal)
            journal.end("done")
        except Stopped:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a method or a model raises, sys.exit included, ends this run, not the study
            if not is_silence(error):
                return _fail(error, journal, folder)
            time.sleep(LAUNCHER_S)
            raise Stopped from None
    except Stopped:
        given = order()
        status, reason = given or ("interrupted", None)
        if given is None and world.size > 1:
            reason = f"one of its {world.size} processes was ended"
        first_error = world.first_error()
        journal.end("failed" if first_error else status, reason=first_error or reason)
    return None


def attempt_beside(context: RunContext, announce: Callable[[], None] = lambda: None) -> None:
    """The same attempt in a process that is not the first of its world.

    Args:
        context: What it works with.
        announce: Reports every border to the recorder of another node.
    """
    try:
        # The first has looked at the checkpoint, and put aside a damaged one.
        context.world.barrier()
        start, _ = _restored(context.folder, context.device)
        journal = SilentJournal(
            functools.partial(wait_for, context.device), context.world.barrier, announce
        )
        announce()
        _look_at_clocks(context.world, journal)
        _run(context, journal, start)
        _look_at_clocks(context.world, journal)
        announce()
    except Stopped:
        sys.exit(STOPPED)
    except BaseException as error:  # noqa: BLE001 - as of the first, which reports it
        if is_silence(error):
            sys.exit(STOPPED)
        context.world.report_error(_reason(error))
        traceback.print_exc()
        sys.exit(1)


def _look_at_clocks(world: World, journal: JournalWriter | SilentJournal) -> None:
    """Note how far the clocks of other nodes are from the first one's, whose journal it is."""
    offsets = world.clocks()
    if offsets:
        journal.event("clocks", nodes=[asdict(each) for each in offsets])


def _fail(error: BaseException, journal: JournalWriter, folder: RunFolder) -> str | None:
    """End an attempt that raised; why results could not be written, if that was it."""
    cannot_store = isinstance(error, OSError) and _cannot_store(error, folder)
    with suppress(OSError):
        traceback.print_exc()
    if cannot_store:
        with suppress(OSError):  # the last lines may find room, or not
            journal.end("interrupted", reason=cannot_store)
        return cannot_store
    status: Status = "interrupted" if isinstance(error, MadeOtherwiseError) else "failed"
    try:
        journal.end(status, reason=_reason(error))
    except OSError as full:
        return _cannot_store(full, folder) or f"{folder.path}: {full}"
    return None


def _reason(error: BaseException) -> str:
    kind = [] if isinstance(error, RunError | UsageError) else [type(error).__name__]
    return ": ".join(filter(None, [*kind, str(error)]))


def _cannot_store(error: OSError, folder: RunFolder) -> str | None:
    """Whether it is the place of the results that failed, not the run: then it can go on later."""
    if not folder.spec.exists():
        return f"{folder.path}: the folder of the run has vanished"
    if error.errno in _PLACE_FAILED:
        return f"{folder.path}: {error.strerror}"
    return None


def _restored(folder: RunFolder, device: torch.device) -> tuple[Checkpoint | None, str | None]:
    """The newest checkpoint, and what is wrong with it: a damaged one is put aside."""
    try:
        return Checkpoint.load(folder.checkpoint, device), None
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        folder.checkpoint.replace(folder.damaged_checkpoint)
        return None, f"corrupt checkpoint; restarting from scratch: {type(error).__name__}"


def _run(
    context: RunContext, journal: JournalWriter | SilentJournal, start: Checkpoint | None
) -> None:
    spec, folder = context.spec, context.folder
    method = Registry.discover(spec.plugins).get(spec.method)(**spec.hyperparameters)
    workload = open_workload(spec.workload, spec.training, context.device, context.world.part)
    code = code_of(type(method).__module__, spec.workload)
    if start and context.world.is_first:
        _check_made_of(folder, Fingerprint(code, workload.identity), spec.method)
    journal.event(FINGERPRINT, code=code, data=workload.identity)
    state = TrainingState(workload, spec.training, spec.seed, folder.snapshot, context.world)
    if workload.weights and (fit := workload.weights.fitted):
        file = workload.weights.path.name
        journal.event("weights", file=file, drawn=fit.drawn, unused=len(fit.unused))
    if context.one_thread_if_small:
        one_thread_if_small(state.network, workload.example, spec.training.batch_size)
    journal.event("threads", threads=torch.get_num_threads())
    if start:
        state.load_state_dict(start.state)
    study = StudyFolder(folder.path.parents[2])
    phases = PhaseContext(
        workload, spec.training, spec.seed, state, journal, functools.partial(recall, study, spec)
    )
    run_method(method, phases, folder, start)
    if context.world.is_first:
        _save_network(spec, phases, folder)


def _save_network(spec: RunSpec, context: PhaseContext, folder: RunFolder) -> None:
    """Write the network, which `run_method` has finished, with all that is needed to use it."""
    workload, state = context.workload, context.state
    result = Journal(folder).events("result")[-1]
    save_network(
        folder.path,
        state.network,
        state.masks,
        {
            "model": spec.workload.model,
            "inputs": workload.example.shape[1],
            "outputs": workload.outputs,
            "converts": workload.converts_attention,
            "encoding": workload.encoding,
            "task": spec.workload.task or type(workload.task).__name__.lower(),
            "metric": workload.task.metric.to_json(),
            "test_score": result["test_score"],
            **{key: result[key] for key in ("parameters", "macs", "density")},
            "run": {"study": spec.study, "arm": spec.arm, "method": spec.method, "seed": spec.seed},
            "data": dict(workload.identity),
            "versions": {"energy-harness": __version__, "torch": torch.__version__},
        },
    )


def _check_made_of(folder: RunFolder, now: Fingerprint, method: str) -> None:
    """Find out whether the checkpoint that a run resumes from was made of the same code and data.

    Raises:
        MadeOtherwiseError: It was not.
    """
    known = fingerprint_of(folder)
    if known and (change := difference(known, now, method)):
        raise MadeOtherwiseError(f"the run was begun {change}; undo the change to resume it")


def _environment(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "wall": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "process_id": os.getpid(),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "versions": {
            "energy-harness": __version__,
            "energy-harness source": harness_hash(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "torch-pruning": TORCH_PRUNING_VERSION,
            "scikit-learn": sklearn.__version__,
            "system": platform.platform(),
        },
    }


def recall(study: StudyFolder, mine: RunSpec, method: str) -> Finished:
    """What the run of `method` with the seed and the variant of `mine` cost and drew.

    `method` names an arm as a selector does: by its method and the settings that set it apart.

    Raises:
        RunError: It is not finished, its energy is unknown, or there are several.
    """
    found = [folder for folder in study.runs() if _is_meant(folder, mine, method)]
    title = f"{mine.method} needs one finished run of {method} with seed {mine.seed}"
    if len(found) != 1:
        raise RunError(f"{title}; there are {len(found)} in {study.path}")
    ledger = Ledger(found[0])
    if not ledger.sensors:
        raise RunError(f"{title}; the energy of the one in {found[0].path} is unknown")
    journal = ledger.journal
    [result] = journal.events("result")[-1:]
    return Finished(ledger.outer.energy_j, result["epochs_trained"], _ticket(journal))


def _is_meant(folder: RunFolder, mine: RunSpec, method: str) -> bool:
    spec = folder.read_spec()
    same = (spec.seed, spec.variant) == (mine.seed, mine.variant)
    meant = same and Selector.parse(method).matches(spec)
    return meant and Journal(folder).status == "done"


def _ticket(journal: Journal) -> ChannelMask | None:
    """The channels of the dense network that are left after all removals."""
    ticket = None
    for _, answer in sorted(journal.answers().items()):
        if answer["description"]["kind"] == "Shrink":
            mask = ChannelMask(answer["description"]["mask"])
            ticket = mask if ticket is None else ticket.then(mask)
    return ticket
