"""Looks at the conditions around a run: other processes on its GPUs, and their temperature."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psutil

from harness.energy.sensors.base import Observer, listed
from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.energy.recorder.clock import Signals
    from harness.settings.settings import EnergySettings


MAX_COOL_DOWN_S = 600.0
"""A card that does not cool down in this time will not."""
_LOOK_NS = 1_000_000_000


class Conditions:
    """Looks at the devices of a run before it starts; it changes nothing.

    Args:
        observers: One per device.
        neighbours: Separates the run's own processes from others.
    """

    def __init__(self, observers: Sequence[Observer], neighbours: Neighbours) -> None:
        self._observers = observers
        self._neighbours = neighbours

    def look(self) -> dict[str, Any]:
        """By device: `temperature_c`, `throttling`, and `foreign`: the PIDs of other processes.

        `foreign` is None where it is unknown (see `Neighbours.foreign`).
        """
        states = {observer.device: observer.state() for observer in self._observers}
        foreign = self._neighbours.foreign(states)
        return {
            "conditions": {
                device: {
                    "temperature_c": state.get("temperature_c"),
                    "throttling": state.get("throttling", []),
                    "foreign": foreign[device],
                }
                for device, state in states.items()
            }
        }

    def cool_down(self, limit_c: float | None, signals: Signals) -> dict[str, Any] | None:
        """Wait until every device is at most `limit_c` warm; the event to record."""
        if limit_c is None:
            return None
        started_ns = signals.now_ns()
        while not signals.stopped:
            warmest_c = max((o.state().get("temperature_c", 0) for o in self._observers), default=0)
            waited_s = (signals.now_ns() - started_ns) * 1e-9
            if warmest_c <= limit_c or waited_s > MAX_COOL_DOWN_S:
                return {"cooled_s": round(waited_s, 3), "warmest_c": warmest_c}
            signals.wait(signals.now_ns() + _LOOK_NS)
        return None


def check_isolation(settings: EnergySettings, conditions: dict[str, dict[str, Any]]) -> None:
    """Refuse to start a run beside other processes on its GPUs, if the study asks for that.

    Raises:
        MeasurementError: There are some, or that cannot be determined.
    """
    if settings.isolation != "error":
        return
    for device, found in conditions.items():
        if found["foreign"]:
            others = listed(named(found["foreign"]))
            raise MeasurementError(f"energy.isolation: other processes use {device}: {others}")
        if found["foreign"] is None:
            raise MeasurementError(
                f"energy.isolation: cannot determine whether other processes use {device}: the "
                "driver lists no process of this run (as in a container)"
            )


class Neighbours:
    """Separates a run's own processes from others, by the driver's lists of processes.

    Args:
        process_id: The run's process; it and its descendants are not foreign.
    """

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._lists_own = False

    def foreign(self, states: Mapping[str, Mapping[str, Any]]) -> dict[str, list[int] | None]:
        """By device, the PIDs of others on it.

        None where that is unknown: the driver lists no processes (in a container), or lists some
        but not the run's own, under numbers that mean nothing here.

        Args:
            states: By device, the state that its observer reports.
        """
        own = self._family()
        # A driver that lists the run's own process on one device is reliable on all of them.
        self._lists_own |= any(own & set(each.get("processes", [])) for each in states.values())
        return {
            device: _foreign(state.get("processes"), own, is_reliable=self._lists_own)
            for device, state in states.items()
        }

    def _family(self) -> set[int]:
        own = {self._process_id}
        with contextlib.suppress(psutil.Error):
            run = psutil.Process(self._process_id)
            own |= {process.pid for process in run.children(recursive=True)}
        return own


def named(processes: Iterable[int]) -> dict[str, str]:
    """From PIDs to names; "" where the system has none."""
    found = {}
    for process in processes:
        found[str(process)] = ""
        with contextlib.suppress(psutil.Error):
            name = psutil.Process(process).name()
            # A process may have any name, and it ends up in tables and on pages.
            found[str(process)] = "".join(c if c.isprintable() else "?" for c in name)
    return found


def _foreign(processes: list[int] | None, own: set[int], *, is_reliable: bool) -> list[int] | None:
    if processes is None or not (processes or is_reliable):
        return None
    foreign = sorted(set(processes) - own)
    return foreign if is_reliable or _exist(foreign) else None


def _exist(processes: list[int]) -> bool:
    """Whether the numbers are PIDs of this machine's processes, seen from this process."""
    return all(psutil.pid_exists(process) for process in processes)
