"""The conditions around a run: who else uses its GPUs, and how warm they are when it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.energy.health import listed
from harness.energy.meter import Observer
from harness.energy.recorder.neighbours import Neighbours, named
from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.energy.recorder.signals import Signals
    from harness.settings import EnergySettings

MAX_COOL_DOWN_S = 600.0
"""A card that does not cool down in this time will not."""
_LOOK_NS = 1_000_000_000


class Conditions:
    """Looks at the devices of a run before it starts; it changes nothing.

    Args:
        observers: One a device.
        neighbours: Tells the run's own processes from others.
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
        """Wait until every device is at most `limit_c` warm; says how long that took."""
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
    """Refuse to start a run beside other processes on its GPUs, where the study says so.

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
