"""Smart plugs over real HTTP: what they show, and every way in which they fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from harness.energy.recorder import timeouts
from harness.energy.sensors import network, plugs
from harness.energy.sensors.base import Found, Meter, MeterSetup, SensorError
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.energy.virtual import SECOND
from tests.fakes.plug import DECIMALS, UNITS_J, FakePlug

SECRET = "open sesame&1"  # noqa: S105 - of a stand-in
KINDS = ("shelly1", "shelly2", "tasmota")
Plugged = Callable[..., FakePlug]


@pytest.fixture
def plugged() -> Iterator[Plugged]:
    """Makes plugs; takes what `FakePlug` takes."""
    made: list[FakePlug] = []

    def make(kind: str, *words: float, **settings: str) -> FakePlug:
        made.append(FakePlug(kind, *words, **settings))
        return made[-1].__enter__()

    yield make
    for each in made:
        each.__exit__(None, None, None)


def find(*made: FakePlug, first_node: bool = True) -> Found:
    addresses = tuple(each.address for each in made)
    return plugs.find(MeterSetup(os.getpid(), (), 4.0, "", first_node=first_node, plugs=addresses))


def meters(plug: FakePlug, clock: Clock) -> list[Meter]:
    plug.turn_to(clock.clock_ns)
    opened = plugs.opened(plug.address)
    return plugs.meters_of(opened, plug.address, lambda: clock.clock_ns * 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_joules_are_right_within_what_is_stated(kind, plugged) -> None:
    rng = np.random.default_rng(len(kind))
    plug, clock = plugged(kind, 20.0), Clock(50 * SECOND + int(rng.integers(SECOND)))
    found = meters(plug, clock)
    lengths_s, powers_w = rng.uniform(40, 100, 6), rng.uniform(15, 250, 6)
    trace, borders = watch(plug, found, clock, lengths_s, powers_w)
    whole = measured(trace, borders[0], borders[-1])
    truth_j = plug.power.truth_j(borders[0], borders[-1])
    assert whole.joules.coverage == pytest.approx(1, abs=0.01)
    assert abs(whole.joules.energy_j - truth_j) < max(0.01 * truth_j, found[0].sensor.resolution_j)
    assert whole.flags == ()
    held = 0
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        off_j = joules.energy_j - plug.power.truth_j(start_ns, end_ns)
        held += abs(off_j) < joules.without_gain_j
    assert held >= 5


def test_the_end_of_a_run_whose_load_has_fallen_is_known_by_its_power(plugged) -> None:
    """No further step of 3600 J comes: the counter alone would take the load to go on."""
    plug, clock = plugged("tasmota", 20.0), Clock()
    trace, borders = watch(plug, meters(plug, clock), clock, [60, 60, 60], [240, 170, 25])
    last = measured(trace, *borders[-2:]).joules
    assert abs(last.energy_j - 25 * 60) < last.without_gain_j
    assert last.without_gain_j < 0.2 * 25 * 60


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_is_that_of_the_counter(kind, plugged) -> None:
    [energy, power] = find(plugged(kind)).meters
    assert energy.sensor.resolution_j == pytest.approx(UNITS_J[kind] / 10 ** DECIMALS[kind])
    assert (energy.sensor.kind, power.sensor.kind) == ("machine", "machine")


@pytest.mark.parametrize("fault", ["offline", "redirect", "text"])
def test_a_plug_that_fails_mid_run_is_a_gap_with_its_reason(fault, plugged) -> None:
    plug, clock = plugged("shelly2", 50.0), Clock()

    def happens(now_ns: int) -> None:
        plug.fault = fault if 150 * SECOND < now_ns < 200 * SECOND else None

    trace, borders = watch(plug, meters(plug, clock), clock, [250], [100], happens=happens)
    found = measured(trace, *borders)
    # What its counter counted meanwhile is known; that time was not observed all the same.
    assert abs(found.joules.energy_j - 25_000) < max(found.joules.without_gain_j, 100)
    reason = {"offline": "no answer", "redirect": "not followed", "text": "no JSON"}[fault]
    assert any(reason in flag for flag in found.flags)
    assert all("/elsewhere" not in path for path in plug.asked)


def test_a_counter_that_is_set_back_at_midnight_costs_no_joule(plugged) -> None:
    plug, clock = plugged("tasmota", 50.0), Clock()
    was_reset: list[int] = []

    def happens(now_ns: int) -> None:
        if now_ns > 200 * SECOND and not was_reset:
            was_reset.append(now_ns)
            plug.reset()

    trace, borders = watch(plug, meters(plug, clock), clock, [300], [200], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.energy_j == pytest.approx(60_000, rel=0.03)
    assert any("set back" in flag for flag in found.flags)


@pytest.mark.parametrize("since_s", [0, 150], ids=["from the start", "after an update mid-run"])
@pytest.mark.parametrize(
    ("kind", "unit"), [("shelly1", 60.0), ("shelly2", 1 / 60), ("tasmota", 1e3)]
)
def test_a_counter_in_another_unit_is_found_by_its_power_and_not_used(
    kind, unit, since_s, plugged
) -> None:
    plug, clock = plugged(kind, 50.0), Clock()

    def happens(now_ns: int) -> None:
        plug.unit = unit if now_ns >= since_s * SECOND else 1.0

    happens(0)
    trace, borders = watch(plug, meters(plug, clock), clock, [300], [120], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.energy_j == pytest.approx(36_000, rel=0.02)
    assert abs(found.joules.energy_j - 36_000) < found.joules.uncertainty_j
    assert any("another unit?" in flag for flag in found.flags)


@pytest.mark.parametrize("since_s", [0, 150], ids=["from the start", "after an update mid-run"])
@pytest.mark.parametrize("unit", [1e-3, 1e3], ids=["kW", "mW"])
def test_a_power_in_another_unit_is_not_taken_for_watts(
    unit, since_s, plugged, monkeypatch
) -> None:
    plug, clock = plugged("shelly2", 50.0), Clock()
    shown = plug.shown

    def in_unit() -> tuple[float, float, int]:
        power_w, *rest = shown()
        return power_w * (unit if clock.clock_ns >= since_s * SECOND else 1), *rest

    monkeypatch.setattr(plug, "shown", in_unit)
    trace, borders = watch(plug, meters(plug, clock), clock, [300], [120])
    found = measured(trace, *borders)
    assert found.joules.energy_j == pytest.approx(36_000, rel=0.02)
    assert any("another unit?" in flag for flag in found.flags)


def test_a_password_that_is_set_mid_run_is_a_gap_with_its_reason(plugged) -> None:
    plug, clock = plugged("shelly2", 50.0), Clock()

    def happens(now_ns: int) -> None:
        plug.password = SECRET if now_ns > 90 * SECOND else ""

    trace, borders = watch(plug, meters(plug, clock), clock, [60], [100], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.coverage < 0.7
    assert abs(found.joules.energy_j - 6_000) < found.joules.uncertainty_j
    assert any("wrong user or password" in flag for flag in found.flags)


def test_a_plug_that_stands_still_is_not_trusted(plugged) -> None:
    plug, clock = plugged("tasmota", 50.0), Clock()

    def happens(now_ns: int) -> None:
        plug.is_stale = now_ns > 200 * SECOND

    trace, borders = watch(plug, meters(plug, clock), clock, [400], [100], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.coverage < 0.6
    assert any("stale" in flag for flag in found.flags)


@pytest.mark.parametrize("kind", KINDS)
def test_the_password_comes_from_the_environment_and_is_in_no_record(
    kind, plugged, monkeypatch
) -> None:
    plug = plugged(kind, 50.0, password=SECRET)
    [note] = find(plug).notes
    assert "wrong user or password" in note
    assert "ENERGY_HARNESS_PLUG_PASSWORD" in note
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", SECRET)
    found = find(plug)
    assert [meter.read() for meter in found.meters]
    assert "sesame" not in json.dumps([meter.sensor.to_json() for meter in found.meters])
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", "wrong")
    [note] = find(plug).notes
    assert "wrong" in note
    assert "sesame" not in note


def test_what_does_not_answer_is_named_with_its_reason(plugged) -> None:
    plug = plugged("shelly2")
    plug.fault = "offline"
    found = find(plug)
    assert not found.meters
    assert plug.address in found.notes[0]
    assert "no answer" in found.notes[0]


@pytest.mark.parametrize("fault", ["silent", "slow"])
def test_a_plug_that_takes_its_time_is_not_waited_for(fault, plugged, monkeypatch) -> None:
    assert max(2 * network.TIMEOUT_S, network.ANSWER_S) < timeouts.TIMEOUT_S
    monkeypatch.setattr(network, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(network, "ANSWER_S", 0.1)
    plug = plugged("shelly2")
    read = plugs.opened(plug.address)
    plug.fault = fault
    with pytest.raises(SensorError, match=r"no answer|too long"):
        read.state()


def test_only_the_first_node_of_a_run_asks_a_plug(plugged) -> None:
    plug = plugged("shelly2")
    assert not find(plug, first_node=False).meters
    assert not plug.asked
