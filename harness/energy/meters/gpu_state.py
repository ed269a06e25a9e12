"""How a GPU is doing, at a slow rate: settings, temperature, clocks, throttling, who uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

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
        """See `IdleObserver`: the driver's own word for it."""
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
    """Why clocks are as they are, a bit each."""
    # Drivers before 535 know the reasons by their older name only.
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
