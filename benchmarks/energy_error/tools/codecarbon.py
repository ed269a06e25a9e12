"""CodeCarbon's offline tracker, polling once a second."""

from __future__ import annotations

from typing import Any

from codecarbon import OfflineEmissionsTracker

from benchmarks.energy_error.waves import Load

JOULES_PER_KWH = 3.6e6


def measure(load: Load) -> dict[str, Any]:
    """The GPU's part of what it found."""
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA",
        measure_power_secs=1,
        save_to_file=False,
        log_level="error",
        gpu_ids=[0],
        tracking_mode="machine",
    )
    load.settle()
    tracker.start()
    load.work()
    tracker.stop()
    return {"energy_j": tracker.final_emissions_data.gpu_energy * JOULES_PER_KWH}
