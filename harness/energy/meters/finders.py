"""From kinds of sensor, as a study names them, to what there is of them on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.catalogue import METERS
from harness.energy.meter import Finder, Found, MeterSetup
from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.settings import EnergySettings


def finder(kind: str) -> Finder:
    """What finds sensors of a kind; it imports no more than that kind needs."""

    def find(setup: MeterSetup) -> Found:
        found: Found = METERS.load(kind)(setup)
        return found

    return find


def check_measurable(settings: EnergySettings) -> None:
    """Find out whether any sensor of this machine measures, before anything is run.

    Raises:
        MeasurementError: None does; the message says why each is missing.
    """
    setup = MeterSetup(os.getpid(), None, 0.0, "")
    found = [finder(kind)(setup) for kind in settings.meters]
    sources = {meter.sensor.source for each in found for meter in each.meters}
    if not sources & {"counter", "sampled"}:
        reasons = [note for each in found for note in each.notes]
        if sources:
            reasons.append(f"there is only what is {' or '.join(sorted(sources))}")
        raise MeasurementError("; ".join(["no sensor measures energy here", *reasons]))
