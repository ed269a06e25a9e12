"""TP-Link's plugs through the real python-kasa, over their real protocols."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from harness.energy.sensors import plug_kasa, plugs
from harness.energy.sensors.base import Found, Meter, MeterSetup
from harness.energy.sensors.discover import check_measurable
from harness.energy.window_energy import measured
from harness.errors import MeasurementError
from harness.settings.settings import EnergySettings
from tests.energy.machine import Clock, watch
from tests.energy.virtual import SECOND
from tests.fakes.tplink import FakeTplink

USER, PASSWORD = "me@example.org", "secret"


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_USER", USER)
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", PASSWORD)


@pytest.fixture(params=["HS110", "KP115", "P110"])
def plug(request: pytest.FixtureRequest) -> Iterator[FakeTplink]:
    with FakeTplink(request.param) as made:
        made.turn_to(50 * SECOND)
        yield made


@pytest.fixture
def opened() -> Iterator[Callable[[FakeTplink, Clock], list[Meter]]]:
    """Opens a plug whose readings come at the times of a clock."""
    meters: list[Meter] = []

    def made(plug: FakeTplink, clock: Clock) -> list[Meter]:
        read = plugs.opened(plug.address)
        meters.extend(plugs.meters_of(read, plug.address, lambda: clock.clock_ns * 1e-9))
        return meters

    yield made
    closed(meters)


def closed(meters: list[Meter]) -> None:
    for each in meters:
        assert isinstance(each, plugs.PlugMeter)
        each.close()


@pytest.fixture
def find() -> Iterator[Callable[[FakeTplink], Found]]:
    """Finds the meters of a plug."""
    meters: list[Meter] = []

    def made(plug: FakeTplink) -> Found:
        found = plugs.find(MeterSetup(os.getpid(), (), 4.0, "", plugs=(plug.address,)))
        meters.extend(found.meters)
        return found

    yield made
    closed(meters)


def test_each_firmware_is_read_in_its_own_units(plug, find) -> None:
    found = find(plug)
    assert found.notes == ()
    shown = {meter.sensor.quantity: meter.read() for meter in found.meters}
    assert shown.pop("power") == pytest.approx(60)
    if plug.kind != "P110":  # it has no counter
        assert shown.pop("energy") == pytest.approx(60 * 50, abs=3600)
    assert not shown
    assert PASSWORD not in str([meter.sensor.to_json() for meter in found.meters])


@pytest.mark.parametrize("plug", ["HS110", "P110"], indirect=True)
def test_joules_are_right_within_what_is_stated(plug, opened) -> None:
    clock = Clock()
    trace, borders = watch(plug, opened(plug, clock), clock, [120, 60, 90], [30, 210, 90])
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        off_j = joules.energy_j - plug.power.truth_j(start_ns, end_ns)
        assert abs(off_j) < joules.without_gain_j
    whole = measured(trace, borders[0], borders[-1])
    assert whole.joules.energy_j == pytest.approx(24_300, rel=0.02)
    assert (whole.joules.coverage, whole.flags) == (pytest.approx(1, abs=0.01), ())


@pytest.mark.parametrize("fault", ["offline", "text"])
@pytest.mark.parametrize("plug", ["HS110", "P110"], indirect=True)
def test_a_plug_that_leaves_mid_run_is_a_gap_with_its_reason(
    plug, fault, opened, monkeypatch
) -> None:
    monkeypatch.setattr(plug_kasa, "TIMEOUT_S", 0.1)
    clock = Clock()

    def happens(now_ns: int) -> None:
        plug.fault = fault if now_ns > 112 * SECOND else None

    trace, borders = watch(plug, opened(plug, clock), clock, [60], [100], happens=happens)
    seen = measured(trace, *borders)
    assert seen.joules.coverage < 0.95
    assert abs(seen.joules.energy_j - 6_000) < seen.joules.uncertainty_j
    assert any("no answer" in flag or "no usable answer" in flag for flag in seen.flags)


@pytest.mark.parametrize("plug", ["HS110"], indirect=True)
def test_a_counter_that_is_set_back_at_midnight_costs_no_joule(plug, opened) -> None:
    clock = Clock()
    was_reset: list[int] = []

    def happens(now_ns: int) -> None:
        if now_ns > 250 * SECOND and not was_reset:
            was_reset.append(now_ns)
            plug.reset()

    trace, borders = watch(plug, opened(plug, clock), clock, [400], [200], happens=happens)
    seen = measured(trace, *borders)
    assert seen.joules.energy_j == pytest.approx(80_000, rel=0.03)
    assert any("set back" in flag for flag in seen.flags)


@pytest.mark.parametrize("plug", ["KP115", "P110"], indirect=True)
def test_a_wrong_password_is_named(plug, find, monkeypatch) -> None:
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", "guessed")
    [note] = find(plug).notes
    assert "wrong user or password (ENERGY_HARNESS_PLUG_USER and" in note
    assert "guessed" not in note
    assert not plug.asked


@pytest.mark.parametrize("plug", ["HS110"], indirect=True)
def test_one_without_a_meter_and_one_that_is_not_there_are_named(plug, find, monkeypatch) -> None:
    monkeypatch.setattr(plug_kasa, "CONNECT_S", 0.3)
    plug.measures = False
    [note] = find(plug).notes
    assert "does not measure" in note
    plug.fault = "offline"
    [note] = find(plug).notes
    assert "no answer" in note


@pytest.mark.parametrize("scope", ["parts", "machine"])
@pytest.mark.parametrize("plug", ["P110"], indirect=True)
def test_looking_for_meters_leaves_no_connection_open(plug, scope, recwarn) -> None:
    with contextlib.suppress(MeasurementError):  # a plug is none of the machine's parts
        check_measurable(EnergySettings(meters=("plugs",), plugs=(plug.address,), scope=scope))
    gc.collect()
    assert not [str(each.message) for each in recwarn if "losed" in str(each.message)]
