"""Finds the sensors of this machine, and the GPUs that a process started from here would use.

A study names kinds of sensor; `finder` gives what finds those of a kind. `visible_gpus` resolves
CUDA_VISIBLE_DEVICES to UUIDs: CUDA's order of devices is not NVML's, and the variable may hold
indices, UUIDs of boards or of MIG slices, or prefixes of them. So CUDA's own driver is asked first;
only without one is the text parsed by its rules (CUDA C++ Programming Guide, "CUDA Environment
Variables").
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pynvml

from harness.energy.sensors.base import ClosingMeter, EnergyKind, Finder, Found, Meter, MeterSetup
from harness.errors import MeasurementError, UsageError
from harness.settings.catalogue import METERS

if TYPE_CHECKING:
    from harness.settings.settings import EnergySettings


def finder(kind: str) -> Finder:
    """The function that finds sensors of a kind; it imports no more than that kind needs."""

    def find(setup: MeterSetup) -> Found:
        found: Found = METERS.load(kind)(setup)
        return found

    return find


def check_scope(settings: EnergySettings) -> None:
    """Check that something measures the whole machine, if that is asked for.

    Raises:
        MeasurementError: Nothing does; the message says why.
    """
    if settings.scope == "machine":
        meters, notes = _look(settings)
        if not meters:
            raise MeasurementError("; ".join(["no sensor measures the whole machine here", *notes]))


def check_measurable(settings: EnergySettings) -> None:
    """Check that some sensor measures the energy that is asked for, before anything is run.

    Raises:
        MeasurementError: None does; the message says why each is missing.
    """
    meters, reasons = _look(settings)
    kinds = {meter.sensor.energy_kind for meter in meters}
    if EnergyKind.MEASURED not in kinds:
        if kinds:
            reasons.append(f"all energy here is {' or '.join(sorted(kinds))}")
        raise MeasurementError("; ".join(["no sensor measures energy here", *reasons]))


def _look(settings: EnergySettings) -> tuple[list[Meter], list[str]]:
    """The meters of the scope that is asked for, and why others are missing."""
    setup = MeterSetup(
        process_id=os.getpid(),
        gpus=None,
        watts_per_thread=0.0,
        watts_note="",
        scope=settings.scope,
        plugs=settings.plugs,
        controllers=settings.controllers,
    )
    found = [finder(kind)(setup) for kind in settings.meters]
    meters = [
        meter
        for each in found
        for meter in each.meters
        if meter.sensor.is_of_machine == (settings.scope == "machine")
    ]
    close(meter for each in found for meter in each.meters)
    return meters, [note for each in found for note in each.notes]


def close(meters: Iterable[Meter]) -> None:
    """End the connections of those that have one."""
    for meter in meters:
        if isinstance(meter, ClosingMeter):
            meter.close()


VARIABLE = "CUDA_VISIBLE_DEVICES"
_ASK_CUDA = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
count, device, uuid = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ubyte * 16)()
assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
for index in range(count.value):
    assert cuda.cuDeviceGet(ctypes.byref(device), index) == 0
    assert cuda.cuDeviceGetUuid_v2(ctypes.byref(uuid), device) == 0
    text = bytes(uuid).hex()
    print("-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]]))
"""
_ASK_S = 20.0


class Visible(NamedTuple):
    """The GPUs that a process would see.

    Attributes:
        gpus: Their UUIDs; None if it would see all, or if that could not be determined.
        unknown: Why it could not be, and what to do; None if it could.
    """

    gpus: tuple[str, ...] | None
    unknown: str | None = None

    @property
    def note(self) -> str | None:
        """What that means for sensors."""
        return f"{self.unknown}; all are read" if self.unknown else None


def visible_gpus() -> Visible:
    """The GPUs that CUDA would show to a process with this process's environment.

    Raises:
        UsageError: The variable holds digits that are no number to CUDA.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return Visible(None)
    for entry in map(str.strip, text.split(",")):
        if entry.isdigit() and not entry.isascii():
            raise UsageError(f"{VARIABLE}={text}: '{entry}' is neither an index nor a UUID")
    uuids = _uuids_from_cuda()
    if uuids is not None:
        return Visible(tuple(map(_with_prefix, uuids)))
    try:
        pynvml.nvmlInit()
        boards = [_board(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return Visible(())
    return _parsed(text, boards)


def _parsed(text: str, boards: Sequence[tuple[str, str]]) -> Visible:
    """What the text means on a machine with these boards (UUID and name, in the order of PCI)."""
    uuids = [uuid for uuid, _ in boards]
    in_order = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    alike = len({name for _, name in boards}) <= 1
    found: list[str] = []
    for entry in map(str.strip, text.split(",")):
        if entry.isdigit() and not (in_order or alike):
            return Visible(
                None,
                f"{VARIABLE}={text}: cannot determine which boards these are without CUDA's "
                "driver, since they differ (set CUDA_DEVICE_ORDER=PCI_BUS_ID)",
            )
        gpu = _match(entry, uuids)
        if gpu is None:
            break  # CUDA shows those before the first wrong entry, and no others
        found.append(gpu)
    return Visible(tuple(found))


def _match(entry: str, uuids: Sequence[str]) -> str | None:
    if entry.isdigit():
        return uuids[int(entry)] if int(entry) < len(uuids) else None
    if entry.startswith("MIG-"):
        return entry
    matches = [uuid for uuid in uuids if entry.startswith("GPU-") and uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _uuids_from_cuda() -> list[str] | None:
    # In a process of its own: CUDA, once there, stays, and takes memory on every board.
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK_CUDA],
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return asked.stdout.split() if asked.returncode == 0 else None


def _with_prefix(uuid: str) -> str:
    """The UUID with the prefix of what it names: a board or a MIG slice."""
    try:
        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
    except pynvml.NVMLError:
        return f"GPU-{uuid}"
    return f"MIG-{uuid}"


def _board(index: int) -> tuple[str, str]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid, name = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
    return str(uuid), str(name)
