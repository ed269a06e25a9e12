"""Reads NVIDIA GPUs through NVML: the total energy counter where there is one, and power beside it.

Boards are named by UUID, since CUDA's order of devices is not NVML's. Update period and averaging
window of the power sensors of each generation follow Yang et al., "Accurate and Convenient Energy
Measurements for GPUs" (SC 2024, arXiv 2312.02741). `GpuObserver` reports the state of a board at a
slow rate: settings, temperature, clocks, throttling, processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pynvml

from harness.energy.sensors.base import (
    MODULE,
    Found,
    Meter,
    MeterSetup,
    Observer,
    Quantity,
    Sensor,
    SensorError,
)

GAIN_UNCERTAINTY = 0.05
"""Gain error of a board's power sensor, about 5 %, fixed for a board (arXiv 2312.02741)."""
COUNTER_UPDATE_S = 0.1
"""Longest known time between two updates of a board's energy counter."""
AVERAGE_S = 1.0
"""Averaging window of "average" power, on Ampere and newer."""
_BLIND = (0.1, 0.025)
_SEEING = (0.1, 0.1)
_KNOWN_SENSORS = {
    pynvml.NVML_DEVICE_ARCH_PASCAL: (0.02, 0.01),
    pynvml.NVML_DEVICE_ARCH_VOLTA: (0.02, 0.01),
    pynvml.NVML_DEVICE_ARCH_TURING: _SEEING,
    pynvml.NVML_DEVICE_ARCH_HOPPER: _BLIND,
}
"""From the architecture to update period and window of instant power; Ampere has two kinds."""
_CONSUMER_AMPERE = (8, 6)
_SHARED = "the whole board, shared with other MIG slices"
_SCOPE_UNKNOWN = (
    "its energy counter is left out: whether it is the GPU's or the module's, with a CPU and maybe "
    "other GPUs, is not documented"
)

Read = Callable[[Any], int]


@dataclass
class NvmlMeter:
    """One quantity of one GPU: `ask` returns an integer in mJ or mW."""

    sensor: Sensor
    ask: Callable[[], int]

    def read(self) -> float:
        """Read once, in J or W; an "unknown error" is retried once, since it often passes."""
        try:
            try:
                return self.ask() / 1000
            except pynvml.NVMLError_Unknown:
                return self.ask() / 1000
        except pynvml.NVMLError as failure:
            raise SensorError(str(failure)) from None


@dataclass(frozen=True)
class _Reading:
    """A reading that boards may offer, and the sensor it makes."""

    quantity: Quantity
    ask: Read
    averaged: bool = False
    part: str = "device"
    of_module: bool = False


def find(setup: MeterSetup) -> Found:
    """The meters of the GPUs that `setup` names; one that cannot be read does not hide the rest."""
    meters: list[Meter] = []
    observers: list[Observer] = []
    notes: list[str] = []
    try:
        pynvml.nvmlInit()
        wanted = _wanted(setup)
    except pynvml.NVMLError as failure:
        return Found([], (f"nvml: {failure}",))
    if not wanted:
        notes.append("nvml: the run uses no GPU")
    for gpu in wanted:
        try:
            board = Board(gpu)
            found, failed = board.meters()
        except pynvml.NVMLError as failure:
            notes.append(f"nvml: GPU {gpu}: {failure}")
            continue
        notes += [f"nvml: GPU {gpu}: {failure}" for failure in failed]
        if board.shared:
            notes.append(f"nvml: GPU {gpu}: {_SHARED} ({board.uuid})")
        if board.is_superchip and not any(m.sensor.kind == "module" for m in found):
            notes.append(f"nvml: GPU {gpu}: {_SCOPE_UNKNOWN} ({board.uuid})")
        if not found and not failed:
            notes.append(f"nvml: GPU {gpu}: offers neither energy nor power")
        meters += found
        observers.append(board.observer())
    return Found(meters, tuple(notes), observers)


def _wanted(setup: MeterSetup) -> Sequence[int | str]:
    if setup.gpus is None:
        return range(pynvml.nvmlDeviceGetCount())
    return (*setup.gpus, *setup.spare_gpus)


class Board:
    """One GPU as NVML shows it.

    Args:
        gpu: NVML's index, or the UUID of the board, or of a MIG slice of it: NVML gives no power
            for a slice, so that the board stands for it, shared with other slices, and says so.

    Attributes:
        shared: Whether it stands for a slice.
        uuid: Of the board.
        name: Its kind, for people.
        is_superchip: Whether it is one module with a CPU, as Grace-Hopper is.

    Raises:
        pynvml.NVMLError: There is no such GPU, or it does not answer.
    """

    def __init__(self, gpu: int | str) -> None:
        self.shared = isinstance(gpu, str) and gpu.startswith("MIG-")
        if isinstance(gpu, int):
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(gpu)
        else:
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(gpu)
        if self.shared:
            self._handle = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self._handle)
        self.uuid = _text(pynvml.nvmlDeviceGetUUID(self._handle))
        self.name = _text(pynvml.nvmlDeviceGetName(self._handle))
        self._driver = _text(pynvml.nvmlSystemGetDriverVersion())
        self.is_superchip = _has_module(self._handle)

    def meters(self) -> tuple[list[Meter], list[str]]:
        """A meter for every reading that this board offers, and why others failed."""
        readings, failed = self._readings()
        return [
            NvmlMeter(self._sensor(reading), partial(reading.ask, self._handle))
            for reading in readings
        ], failed

    def observer(self) -> Observer:
        """The observer of its state."""
        return GpuObserver(self.uuid, self._handle, self._driver)

    def _sensor(self, reading: _Reading) -> Sensor:
        real = self._driver.replace(".", "").isdigit()
        measured = "counter" if reading.quantity == "energy" else "sampled"
        update_s, window_s = self._timing(reading)
        shared = f"; {_SHARED}" if self.shared else ""
        mean = "average " if reading.averaged else ""
        scope = f"; {MODULE}" if reading.of_module else ""
        return Sensor(
            device=self.uuid,
            name=self.name,
            kind="module" if reading.of_module else "gpu",
            quantity=reading.quantity,
            source=measured if real else "simulated",  # type: ignore[arg-type]
            relative_uncertainty=GAIN_UNCERTAINTY,
            resolution_j=0.001 if reading.quantity == "energy" else 0.0,
            note=f"NVML {mean}{reading.quantity} reading, driver {self._driver}{scope}{shared}",
            part=reading.part,
            update_s=update_s,
            window_s=window_s,
            ceiling_w=None
            if reading.of_module
            else _offered(pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle),
        )

    def _readings(self) -> tuple[list[_Reading], list[str]]:
        """The readings it offers, and the reasons why others failed."""
        found: list[_Reading] = []
        failed: list[str] = []

        def offer(reading: _Reading) -> None:
            try:
                found.extend([reading] if _offers(reading.ask, self._handle) else [])
            except pynvml.NVMLError as failure:
                failed.append(f"{reading.quantity} of the {reading.part}: {failure}")

        for reading in self._known():
            offer(reading)
        if not any(reading.ask in (_INSTANT, _INSTANT_OF_MODULE) for reading in found):
            usage = pynvml.nvmlDeviceGetPowerUsage
            offer(_Reading("power", usage, averaged=self._usage_is_averaged()))
        return found, failed

    def _known(self) -> tuple[_Reading, ...]:
        """The readings that it may offer.

        On Grace-Hopper the energy counter is the whole module's (Zeus, pull request 172), and so is
        then the power beside it; the GPU's own is part of it. What it counts on later superchips,
        where two GPUs share a CPU, is not known: their power alone has a scope.
        """
        if not self.is_superchip:
            return _READINGS
        architecture, _ = self._generation()
        return _OF_MODULE if architecture == pynvml.NVML_DEVICE_ARCH_HOPPER else _READINGS[1:]

    def _usage_is_averaged(self) -> bool:
        architecture, capability = self._generation()
        return architecture >= pynvml.NVML_DEVICE_ARCH_AMPERE and capability != (8, 0)

    def _timing(self, reading: _Reading) -> tuple[float, float]:
        """Update period and window of a reading, in seconds."""
        if reading.quantity == "energy":
            return COUNTER_UPDATE_S, 0.0
        if reading.averaged:
            return COUNTER_UPDATE_S, AVERAGE_S
        architecture, capability = self._generation()
        if capability == _CONSUMER_AMPERE:
            return _SEEING
        return _KNOWN_SENSORS.get(architecture, _BLIND)

    def _generation(self) -> tuple[int, tuple[int, int]]:
        """Architecture and compute capability; an old one if the driver cannot say."""
        try:
            capability = pynvml.nvmlDeviceGetCudaComputeCapability(self._handle)
            return pynvml.nvmlDeviceGetArchitecture(self._handle), tuple(capability)
        except pynvml.NVMLError:
            return pynvml.NVML_DEVICE_ARCH_KEPLER, (0, 0)


def _field(field: int, scope: int, handle: Any) -> int:
    """A field value; each has a return code of its own."""
    (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [(field, scope)])
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


def _power(field: int, scope: int) -> Read:
    return partial(_field, field, scope)


_NOW, _MEAN = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_AVERAGE
_INSTANT = _power(_NOW, pynvml.NVML_POWER_SCOPE_GPU)
_INSTANT_OF_MODULE = _power(_NOW, pynvml.NVML_POWER_SCOPE_MODULE)
_MEMORY = _Reading("power", _power(_NOW, pynvml.NVML_POWER_SCOPE_MEMORY), part="memory")
_READINGS = (
    _Reading("energy", pynvml.nvmlDeviceGetTotalEnergyConsumption),
    _Reading("power", _INSTANT),
    _Reading("power", _power(_MEAN, pynvml.NVML_POWER_SCOPE_GPU), averaged=True),
    _MEMORY,
)
_OF_MODULE = (
    _Reading("energy", pynvml.nvmlDeviceGetTotalEnergyConsumption, of_module=True),
    _Reading("power", _INSTANT_OF_MODULE, of_module=True),
    _Reading("power", _power(_MEAN, pynvml.NVML_POWER_SCOPE_MODULE), averaged=True, of_module=True),
    _Reading("power", _INSTANT, part="gpu"),
    _MEMORY,
)


def _has_module(handle: Any) -> bool:
    try:
        return _offers(_INSTANT_OF_MODULE, handle)
    except pynvml.NVMLError:
        return False


def _offers(ask: Read, handle: Any) -> bool:
    for _ in range(2):
        try:
            ask(handle)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
            return False
        except pynvml.NVMLError_Unknown:
            continue
        break
    return True


def _offered(ask: Read, handle: Any) -> float | None:
    try:
        return ask(handle) / 1000
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


THROTTLING = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "thermal (software)",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "thermal (hardware)",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
}
"""Reasons for lower clocks that change what a joule buys; idle clocks and set clocks are not."""


@dataclass(frozen=True)
class GpuObserver:
    """Watches one board; only reads, never sets."""

    device: str
    handle: Any
    driver: str

    def settings(self) -> dict[str, Any]:
        """Limits and modes of the card, as they were found."""
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return {"driver": self.driver, "nvidia-ml-py": _binding_version()} | self._offered(
            {
                "architecture": pynvml.nvmlDeviceGetArchitecture,
                "default_power_limit_w": lambda h: (
                    pynvml.nvmlDeviceGetPowerManagementDefaultLimit(h) / 1000
                ),
                "max_sm_clock_mhz": lambda h: pynvml.nvmlDeviceGetMaxClockInfo(h, sm),
                "max_memory_clock_mhz": lambda h: pynvml.nvmlDeviceGetMaxClockInfo(h, memory),
                "persistence_mode": lambda h: bool(pynvml.nvmlDeviceGetPersistenceMode(h)),
                "compute_mode": pynvml.nvmlDeviceGetComputeMode,
                "ecc": lambda h: bool(pynvml.nvmlDeviceGetEccMode(h)[0]),
                "mig": lambda h: bool(pynvml.nvmlDeviceGetMigMode(h)[0]),
            }
        )

    def state(self) -> dict[str, Any]:
        """Temperature, clocks, utilisation, reasons for throttling, and processes (their PIDs)."""
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return self._offered(
            {
                "temperature_c": lambda h: pynvml.nvmlDeviceGetTemperature(
                    h, pynvml.NVML_TEMPERATURE_GPU
                ),
                "sm_clock_mhz": lambda h: pynvml.nvmlDeviceGetClockInfo(h, sm),
                "memory_clock_mhz": lambda h: pynvml.nvmlDeviceGetClockInfo(h, memory),
                "utilisation_percent": lambda h: pynvml.nvmlDeviceGetUtilizationRates(h).gpu,
                "throttling": _throttling,
                "power_limit_w": lambda h: pynvml.nvmlDeviceGetEnforcedPowerLimit(h) / 1000,
                "processes": _processes,
            }
        )

    def is_idle(self) -> bool | None:
        """See `IdleObserver`: as the driver reports it."""
        try:
            return bool(_clock_reasons(self.handle) & pynvml.nvmlClocksEventReasonGpuIdle)
        except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):
            return None

    def busy_percent(self) -> float | None:
        """See `BusyObserver`."""
        try:
            return float(pynvml.nvmlDeviceGetUtilizationRates(self.handle).gpu)
        except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):
            return None

    def _offered(self, questions: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
        answers = {}
        for name, ask in questions.items():
            try:
                answers[name] = ask(self.handle)
            except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):
                continue
        return answers


def _throttling(handle: Any) -> list[str]:
    reasons = _clock_reasons(handle)
    return [name for bit, name in THROTTLING.items() if reasons & bit]


def _clock_reasons(handle: Any) -> int:
    """The reasons for the current clocks, one bit each."""
    # Drivers before 535 have the reasons under their older name only.
    try:
        return int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except pynvml.NVMLError_FunctionNotFound:
        return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _processes(handle: Any) -> list[int]:
    running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    with contextlib.suppress(pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):
        running = [*running, *pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)]
    return sorted({process.pid for process in running})


def _binding_version() -> str:
    from importlib.metadata import version

    return version("nvidia-ml-py")
