"""The state of the stand-in as `state.h` lays it out, for Python."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

SOURCES = Path(__file__).parent
_HEADER = (SOURCES / "state.h").read_text(encoding="utf-8")
_TYPES = {"double": ctypes.c_double, "int64_t": ctypes.c_int64}
_READ = {"double": float, "int64_t": int}


def _constant(name: str) -> int:
    return int(re.findall(rf"\b{name} = (\d+)", _HEADER)[0])


def _settings(macro: str) -> dict[str, tuple[str, float]]:
    """Type and default of each setting of a list in `state.h`."""
    body = re.findall(rf"#define {macro}\(X\) \\\n((?:.*\\\n)*.*)", _HEADER)[0]
    found = re.findall(r"X\((\w+), (\w+), ([-\d.]+)\)", body)
    return {name: (kind, _READ[kind](default)) for kind, name, default in found}


def _fields(settings: dict[str, tuple[str, float]]) -> list[tuple[str, type]]:
    return [(name, _TYPES[kind]) for name, (kind, _) in settings.items()]


MOST_GPUS = _constant("MOST_GPUS")
MOST_PIECES = _constant("MOST_PIECES")
MOST_FAULTS = _constant("MOST_FAULTS")
MOST_PROCESSES = _constant("MOST_PROCESSES")
GPU_SETTINGS = _settings("GPU_SETTINGS")
MACHINE_SETTINGS = _settings("MACHINE_SETTINGS")
Text = ctypes.c_char * _constant("TEXT")


class Piece(ctypes.Structure):
    """A stretch of constant power."""

    _fields_ = [
        ("start_ns", ctypes.c_int64),
        ("power_w", ctypes.c_double),
        ("energy_j", ctypes.c_double),
    ]


class Process(ctypes.Structure):
    """A process on a GPU."""

    _fields_ = [("pid", ctypes.c_int64), ("memory_bytes", ctypes.c_int64)]


class Gpu(ctypes.Structure):
    """A GPU: what it draws and how that is sensed."""

    _fields_ = [
        ("uuid_text", Text),
        ("name_text", Text),
        *_fields(GPU_SETTINGS),
        ("process_count", ctypes.c_int64),
        ("process_list", Process * MOST_PROCESSES),
        ("piece_count", ctypes.c_int64),
        ("pieces", Piece * MOST_PIECES),
    ]


class Fault(ctypes.Structure):
    """What calls end with for a while."""

    _fields_ = [
        ("call", Text),
        ("active", ctypes.c_int64),
        ("gpu", ctypes.c_int64),
        ("code", ctypes.c_int64),
        ("from_ns", ctypes.c_int64),
        ("until_ns", ctypes.c_int64),
        ("hang_ms", ctypes.c_double),
    ]


class Machine(ctypes.Structure):
    """The whole file."""

    _fields_ = [
        ("driver_text", Text),
        *_fields(MACHINE_SETTINGS),
        ("faults", Fault * MOST_FAULTS),
        ("gpus", Gpu * MOST_GPUS),
    ]
