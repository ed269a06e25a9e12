"""carbontracker, polling once a second."""

from __future__ import annotations

from typing import Any

from carbontracker import constants
from carbontracker.tracker import CarbonTracker

from benchmarks.energy_error.waves import Load

JOULES_PER_KWH = 3.6e6


def measure(load: Load) -> dict[str, Any]:
    """The energy of its one epoch, without its factor for the building."""
    tracker = CarbonTracker(
        epochs=1,
        monitor_epochs=-1,
        update_interval=1,
        components="gpu",
        devices_by_pid=False,
        verbose=0,
    )
    inner = tracker.tracker  # which it lets go of after its last epoch
    load.settle()
    tracker.epoch_start()
    load.work()
    tracker.epoch_end()
    found = inner.total_energy_per_epoch().sum() / constants.PUE_2023
    tracker.stop()
    return {"energy_j": float(found) * JOULES_PER_KWH}
