"""The shortest window that `doctor` says a meter tells: recordings of that length must agree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.energy.integration.resolved import shortest_window_s
from harness.energy.sensors import battery, plugs, redfish, sysfs
from harness.energy.sensors.base import Meter, MeterSetup
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.fakes.controller import FakeController
from tests.fakes.laptop import FakeBattery
from tests.fakes.plug import FakePlug

IDLE_W, POWER_W = 18.0, 60.0


@contextmanager
def made(kind: str, folder: Path, clock: Clock) -> Iterator[tuple[Any, list[Meter]]]:
    """A stand-in of a kind, and its meters."""
    if kind == "battery":
        device = FakeBattery(folder, IDLE_W, refresh_s=30)
        device.turn_to(clock.clock_ns)
        yield device, battery.find(MeterSetup(os.getpid(), (), 4.0, "")).meters
    elif kind == "redfish":
        with FakeController(power_w=IDLE_W) as controller:
            controller.turn_to(clock.clock_ns)
            setup = MeterSetup(os.getpid(), (), 4.0, "", controllers=(controller.address,))
            yield controller, redfish.find(setup).meters
    else:
        with FakePlug(kind, IDLE_W) as plug:
            plug.turn_to(clock.clock_ns)
            opened = plugs.opened(plug.address)
            yield plug, plugs.meters_of(opened, plug.address, lambda: clock.clock_ns * 1e-9)


@pytest.mark.parametrize("kind", ["battery", "redfish", "shelly2", "tasmota"])
def test_a_window_of_that_length_is_measured_to_its_share_and_one_of_a_third_is_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sysfs.ELSEWHERE, str(tmp_path))
    clock = Clock()
    with made(kind, tmp_path, clock) as (device, meters):
        window_s = shortest_window_s([meter.sensor for meter in meters], POWER_W)
        assert window_s
        lengths_s = [200, window_s, 200, window_s / 3, 100]
        powers_w = [IDLE_W, POWER_W, IDLE_W, POWER_W, IDLE_W]
        trace, borders = watch(device, meters, clock, lengths_s, powers_w)
    whole, third = (
        (measured(trace, *window).joules, device.power.truth_j(*window))
        for window in list(pairwise(borders))[1::2]
    )
    # 5 %, or somewhat more where steps fall less well than in any of the model's windows.
    assert whole[0].without_gain_j < 0.07 * whole[1]
    assert whole[0].energy_j == pytest.approx(whole[1], rel=0.07)
    assert third[0].without_gain_j > 0.05 * third[1]
