"""Whose energy a sensor reads, where a run does not have the whole machine to itself."""

from __future__ import annotations

from dataclasses import replace

from harness.energy.meter import Meter, MeterSetup


def owned(meter: Meter, setup: MeterSetup) -> Meter:
    """The meter, its sensor marked as the run's own or not.

    A model of the run's own processes is the run's wherever it runs.
    """
    sensor = meter.sensor
    if sensor.device in setup.spare_gpus:
        meter.sensor = replace(sensor, owner="spare")
    elif sensor.kind in ("cpu", "dram") and sensor.source != "estimated" and not setup.own_host:
        meter.sensor = replace(sensor, owner="host")
    return meter
