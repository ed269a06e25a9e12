"""Who else uses the GPUs of a run, by the driver's lists of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import psutil


class Neighbours:
    """Tells a run's own processes from others.

    Args:
        process_id: The run's process; it and its descendants are not foreign.
    """

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._telling = False

    def foreign(self, states: Mapping[str, Mapping[str, Any]]) -> dict[str, list[int] | None]:
        """By device, the PIDs of others on it.

        None where that is unknown: the driver lists no processes (in a container), or lists some
        but not the run's own, under numbers that mean nothing here.

        Args:
            states: By device, what its observer says.
        """
        own = self._family()
        # A driver that lists the run's own process on one device tells the truth of them all.
        self._telling |= any(own & set(each.get("processes", [])) for each in states.values())
        return {
            device: _foreign(state.get("processes"), own, telling=self._telling)
            for device, state in states.items()
        }

    def _family(self) -> set[int]:
        own = {self._process_id}
        with contextlib.suppress(psutil.Error):
            run = psutil.Process(self._process_id)
            own |= {process.pid for process in run.children(recursive=True)}
        return own


def named(processes: Iterable[int]) -> dict[str, str]:
    """From PIDs to names, as far as the system tells them."""
    found = {}
    for process in processes:
        found[str(process)] = ""
        with contextlib.suppress(psutil.Error):
            name = psutil.Process(process).name()
            # Anybody gives a process any name, and it ends up in tables and on pages.
            found[str(process)] = "".join(c if c.isprintable() else "?" for c in name)
    return found


def _foreign(processes: list[int] | None, own: set[int], *, telling: bool) -> list[int] | None:
    if processes is None or not (processes or telling):
        return None
    foreign = sorted(set(processes) - own)
    return foreign if telling or _exist(foreign) else None


def _exist(processes: list[int]) -> bool:
    """Whether the numbers are of this machine's processes, as far as can be seen from here."""
    return all(psutil.pid_exists(process) for process in processes)
