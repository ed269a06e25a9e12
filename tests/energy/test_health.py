"""Flags of sensors and devices: each when it should be there, and only then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.energy.health import Health
from harness.energy.integration import windows
from harness.energy.integration.windows import curves
from harness.energy.trace import Readings, Trace
from tests.energy.traces import SECOND, counted, readings, sensor
from tests.fakes.known_power import KnownPower

COUNTER = sensor(update_s=0.1, ceiling_w=400.0)
POWER = sensor("power", "sampled", update_s=0.1, window_s=0.1, ceiling_w=400.0)
TIMES_S = np.arange(0, 20, 0.05).tolist()
BEGIN_NS, END_NS = 5 * SECOND, 15 * SECOND
CONDITIONS = {"temperature_c": 40, "foreign": []}


def power(watts: float = 200) -> Readings:
    return readings(TIMES_S, [watts] * len(TIMES_S), POWER)


def counter(watts: float = 200) -> Readings:
    return counted(KnownPower(watts), TIMES_S, COUNTER)


def health(*found: Readings, events: tuple[Any, ...] = (), **more: Any) -> Health:
    trace = Trace(found or (counter(), power()), period_s=0.05, events=events, **more)
    return Health(trace, BEGIN_NS, END_NS)


def conditions(**changed: Any) -> dict[str, Any]:
    return {"conditions": {"GPU-0": {**CONDITIONS, **changed}}}


def state(at_s: float, throttling: list[str], device: str = "GPU-0") -> dict[str, Any]:
    return {
        "state": {"throttling": throttling},
        "device": device,
        "time_ns": round(at_s * SECOND),
    }


def test_sound_measurement_has_no_flags() -> None:
    assert health(events=(conditions(), state(0, []))).flags == []


def test_idle_power_is_that_before_the_run_and_its_energy_that_of_the_window() -> None:
    found = health(idle_ns=(SECOND, 3 * SECOND))
    assert found.idle == {"GPU-0": pytest.approx(200, rel=0.01)}
    assert found.idle_energy_j == pytest.approx(200 * 10, rel=0.01)


def test_idle_power_of_all_devices_adds_up() -> None:
    other = sensor("power", "sampled", device="GPU-1")
    second = readings(TIMES_S, [50.0] * len(TIMES_S), other)
    found = health(counter(), second, idle_ns=(SECOND, 3 * SECOND))
    assert found.idle_energy_j == pytest.approx(2500, rel=0.01)


def test_without_an_idle_measurement_no_idle_energy_is_claimed() -> None:
    assert health().idle_energy_j is None


def test_estimate_has_no_idle_power() -> None:
    estimate = readings(TIMES_S, TIMES_S, sensor("energy", "estimated", device="cpu:host"))
    assert health(estimate, idle_ns=(SECOND, 3 * SECOND)).idle == {}


@pytest.mark.parametrize(("power_w", "flagged"), [(200, False), (215, False), (230, True)])
def test_disagreement_of_power_and_counter(power_w, flagged) -> None:
    found = health(counter(), power(power_w))
    assert found.disagreement == pytest.approx(power_w / 200 - 1, abs=0.01)
    assert any("disagree" in flag for flag in found.flags) == flagged


@pytest.mark.parametrize("found", [(counter(),), (power(),)])
def test_one_sensor_alone_cannot_disagree(found) -> None:
    assert health(*found).disagreement is None


def test_counter_that_reading_falsifies_is_flagged_and_not_compared() -> None:
    found = health(counter(100), power(), falsified={0: 0.5})
    assert found.disagreement is None
    assert found.flags == ["energy of GPU-0: loses 50% when read closely, so it is not used"]


@pytest.mark.parametrize(
    ("states", "share"),
    [
        ([state(0, [])], 0),
        ([state(0, ["power"])], 1),
        ([state(0, []), state(10, ["power"])], 0.5),
        ([state(0, []), state(10, ["power"]), state(12, [])], 0.2),
        ([state(0, ["power"]), state(4, [])], 0),  # before the window
        ([state(0, [], "GPU-1"), state(0, []), state(12.5, ["heat"], "GPU-1")], 0.25),
    ],
)
def test_throttled_share(states, share) -> None:
    found = health(events=tuple(states))
    assert found.throttled_share == pytest.approx(share)
    assert any("throttled" in flag for flag in found.flags) == (share > 0)


def test_nobody_who_looked_knows_no_throttled_share() -> None:
    assert health().throttled_share is None


def test_start_temperature_is_that_of_the_warmest_device() -> None:
    found = {"GPU-0": {**CONDITIONS, "temperature_c": 41}, "GPU-1": CONDITIONS}
    assert health(events=({"conditions": found},)).start_temperature_c == 41
    assert health(events=(conditions(temperature_c=None),)).start_temperature_c is None
    assert health().start_temperature_c is None


@pytest.mark.parametrize(
    ("foreign", "flags"),
    [
        ([], []),
        ([1, 2], ["other processes on GPU-0 (PID 1, 2)"]),
        (None, ["cannot determine whether other processes use GPU-0"]),
    ],
)
def test_other_processes(foreign, flags) -> None:
    assert health(events=(conditions(foreign=foreign),)).flags == flags


def used_by(at_s: float, foreign: dict[str, str] | None, device: str = "GPU-0") -> dict[str, Any]:
    state = {"foreign": foreign} if foreign else {}
    return {"state": state, "device": device, "time_ns": round(at_s * SECOND)}


@pytest.mark.parametrize(
    ("events", "flag"),
    [
        ([used_by(0, None)], None),
        (
            [used_by(0, None), used_by(10, {"7": "python3"})],
            "other processes on GPU-0 (PID 7: python3, for 50% of the time)",
        ),
        (
            [used_by(6, {"7": "python3"}), used_by(8, {"7": "python3", "9": ""}), used_by(9, None)],
            "other processes on GPU-0 (PID 7, 9: python3, for 30% of the time)",
        ),
        (
            [conditions(foreign=[7]), used_by(6, {"7": "x"}), used_by(7, None)],
            "other processes on GPU-0 (PID 7: x, for 10% of the time)",
        ),
    ],
)
def test_processes_that_come_during_the_run_are_named(events, flag) -> None:
    assert health(events=tuple(events)).flags == ([flag] if flag else [])


def busy(at_s: float, other_cpu_s: float) -> dict[str, Any]:
    state = {"other_cpu_s": other_cpu_s}
    return {"state": state, "device": "host:x", "time_ns": round(at_s * SECOND)}


HOST = {"settings": {"cpus": 4}, "device": "host:x"}


@pytest.mark.parametrize(
    ("events", "share"),
    [
        ([HOST, busy(0, 0), busy(20, 0)], 0.0),
        ([HOST, busy(0, 0), busy(5, 8), busy(15, 12), busy(20, 90)], 0.1),
        ([HOST, busy(0, 0), busy(20, 40)], 0.5),
        ([HOST, busy(6, 0)], None),
        ([busy(0, 0), busy(20, 40)], None),
        ([], None),
    ],
)
def test_other_work_on_the_cpus_is_reported_by_its_share(events, share) -> None:
    found = health(events=tuple(events))
    assert found.background_cpu == (None if share is None else pytest.approx(share))
    flags = ["other work kept 50% of the CPUs busy"] if share == 0.5 else []
    assert found.flags == flags


def test_other_work_casts_doubt_on_an_estimate_too() -> None:
    """Two of four CPUs are busy with other work, one with the run: up to two thirds are doubted."""
    model = sensor("energy", "estimated", device="cpu:host", thread_power_w=4.0)
    estimate = readings(TIMES_S, [4.0 * t for t in TIMES_S], model)
    events = (HOST, busy(0, 0), busy(20, 40))
    found = health(estimate, events=events)
    assert found.background_cpu == pytest.approx(0.5)
    assert found.flags == ["other work kept 50% of the CPUs busy"]
    assert found.threads_in_use == pytest.approx(1.0, rel=0.01)
    window = (round(2 * SECOND), round(18 * SECOND))
    [curve] = curves(Trace((estimate,), events=events), window)
    assert curve.between(*window).gap_j == pytest.approx(16 * 4.0 * 2 / 3, rel=0.02)
    [curve] = curves(Trace((estimate,), events=(HOST, busy(0, 0), busy(20, 0))), window)
    assert curve.between(*window).gap_j == 0


@pytest.mark.parametrize("watts", [-5.0, 10_000.0])
def test_absurd_powers_are_left_out_and_reported(watts: float) -> None:
    values = [200.0] * len(TIMES_S)
    values[200:240] = [watts] * 40
    found = health(readings(TIMES_S, values, POWER))
    assert found.flags == ["power of GPU-0: 40 absurd values left out"]


def test_counter_that_leaps_is_flagged() -> None:
    def leap(value) -> None:
        value[200:] += 1e6

    assert health(spoilt(leap)).flags == ["energy of GPU-0: leapt by more than it can draw"]


def spoilt(change) -> Readings:
    value = counter().value.copy()
    change(value)
    return readings(TIMES_S, value.tolist(), COUNTER)


def set_back(value) -> None:
    value[200:] -= value[200]


def freeze(value) -> None:
    value[200:] = value[200]


def thaw(value) -> None:
    value[200:300] = value[200]


@pytest.mark.parametrize(
    ("change", "word"), [(set_back, "set back"), (freeze, "stood still"), (thaw, "stood still")]
)
def test_counter_that_broke_is_flagged(change, word) -> None:
    assert [flag.split(": ")[1] for flag in health(spoilt(change)).flags] == [word]


def test_failed_readings_are_flagged() -> None:
    failed = readings(TIMES_S, [200.0] * len(TIMES_S), POWER, [6.0])
    assert health(counter(), failed).flags == ["power of GPU-0: readings failed"]


def test_sensor_that_never_answered_breaks_nothing() -> None:
    assert health(readings([], [], COUNTER), power()).flags == []


def test_flags_integrate_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    power = sensor("power", "sampled", update_s=0.1, window_s=0.025)
    found = health(readings(TIMES_S, [200.0] * len(TIMES_S), power))
    monkeypatch.setattr(windows, "EnergyCurve", None)
    assert any("sees only 25% of the time" in flag for flag in found.flags)
