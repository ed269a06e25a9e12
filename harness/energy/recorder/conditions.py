"""The conditions around a run: who else uses its GPUs, and how warm they are when it starts."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psutil

from harness.energy.meter import Observer
from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.energy.recorder.signals import Signals
    from harness.settings import EnergySettings

LONGEST_COOL_DOWN_S = 600.0
"""A card that does not cool down in this time will not."""
_LOOK_NS = 1_000_000_000


class Conditions:
    """Looks at the devices of a run before it starts; it changes nothing.

    Args:
        observers: One a device.
        process_id: The run's process; it and its descendants are not foreign.
    """

    def __init__(self, observers: Sequence[Observer], process_id: int) -> None:
        self._observers = observers
        self._process_id = process_id

    def look(self) -> dict[str, Any]:
        """By device: `temperature_c`, `throttling`, and `foreign`: the PIDs of other processes.

        `foreign` is None where it cannot be told: the driver lists no processes (in a container),
        or lists some but not the run's own, under numbers that mean nothing here.
        """
        own = self._family()
        states = {observer.device: observer.state() for observer in self._observers}
        # A driver that lists the run's own process on one device tells the truth of them all.
        telling = any(own & set(state.get("processes", [])) for state in states.values())
        return {
            "conditions": {
                device: {
                    "temperature_c": state.get("temperature_c"),
                    "throttling": state.get("throttling", []),
                    "foreign": _foreign(state.get("processes"), own, telling=telling),
                }
                for device, state in states.items()
            }
        }

    def cool_down(self, limit_c: float | None, signals: Signals) -> dict[str, Any] | None:
        """Wait until every device is at most `limit_c` warm; says how long that took."""
        if limit_c is None:
            return None
        started_ns = signals.now_ns()
        while not signals.stopped:
            warmest_c = max((o.state().get("temperature_c", 0) for o in self._observers), default=0)
            waited_s = (signals.now_ns() - started_ns) * 1e-9
            if warmest_c <= limit_c or waited_s > LONGEST_COOL_DOWN_S:
                return {"cooled_s": round(waited_s, 3), "warmest_c": warmest_c}
            signals.wait(signals.now_ns() + _LOOK_NS)
        return None

    def _family(self) -> set[int]:
        own = {self._process_id}
        with contextlib.suppress(psutil.Error):
            run = psutil.Process(self._process_id)
            own |= {process.pid for process in run.children(recursive=True)}
        return own


def check_isolation(settings: EnergySettings, conditions: dict[str, dict[str, Any]]) -> None:
    """Refuse to start a run beside other processes on its GPUs, where the study says so.

    Raises:
        MeasurementError: There are some, or whether there are cannot be told.
    """
    if settings.isolation != "error":
        return
    for device, found in conditions.items():
        if found["foreign"]:
            pids = ", ".join(map(str, found["foreign"]))
            raise MeasurementError(f"energy.isolation: other processes use {device}: {pids}")
        if found["foreign"] is None:
            raise MeasurementError(
                f"energy.isolation: whether other processes use {device} cannot be told, since "
                "the driver lists no process of this run (as in a container)"
            )


def _foreign(processes: list[int] | None, own: set[int], *, telling: bool) -> list[int] | None:
    if processes is None or not (processes or telling):
        return None
    foreign = sorted(set(processes) - own)
    return foreign if telling or _exist(foreign) else None


def _exist(processes: list[int]) -> bool:
    """Whether the numbers are of this machine's processes, as far as can be seen from here."""
    return all(psutil.pid_exists(process) for process in processes)
