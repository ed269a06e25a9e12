"""Whose energy it is: the run's, of GPUs that stay idle, or of a host that others use."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.energy.integration.windows import curves
from harness.energy.recorder.__main__ import one_meter_of_the_machine, owned
from harness.energy.recorder.process import RecorderProcess
from harness.energy.sensors.base import Found, MeterSetup, Scope, Sensor
from harness.energy.trace import Trace, read_trace
from harness.settings.settings import EnergySettings
from tests.energy.conftest import Pretend
from tests.energy.traces import SECOND, readings, sensor


@dataclass
class Still:
    """A meter that is not read."""

    sensor: Sensor

    def read(self) -> float:
        return 0.0


def setup(*, own_host: bool, scope: Scope = "parts") -> MeterSetup:
    return MeterSetup(1, ("GPU-0",), 1.0, "", spare_gpus=("GPU-1",), own_host=own_host, scope=scope)


@pytest.mark.parametrize(
    ("device", "kind", "source", "own_host", "owner"),
    [
        ("GPU-0", "gpu", "counter", True, "run"),
        ("GPU-1", "gpu", "counter", True, "spare"),
        ("GPU-1", "gpu", "simulated", False, "spare"),
        ("package-0", "cpu", "counter", True, "run"),
        ("package-0", "cpu", "counter", False, "host"),
        ("package-0 dram", "dram", "simulated", False, "host"),
        ("cpu:here", "cpu", "estimated", False, "run"),
    ],
)
def test_each_sensor_has_an_owner(
    device: str, kind: str, source: str, own_host: bool, owner: str
) -> None:
    meter = Still(replace(sensor(), device=device, kind=kind, source=source))
    assert owned(meter, setup(own_host=own_host)).sensor.owner == owner


@pytest.mark.parametrize(
    ("kind", "source", "own_host", "scope", "owner"),
    [
        ("machine", "counter", True, "parts", "machine"),
        ("machine", "counter", True, "machine", "run"),
        ("machine", "counter", False, "parts", "host"),
        ("gpu", "counter", True, "machine", "part"),
        ("cpu", "estimated", True, "machine", "part"),
    ],
)
def test_the_machine_and_its_parts_are_never_both_the_run_s(
    kind: str, source: str, own_host: bool, scope: Scope, owner: str
) -> None:
    meter = Still(replace(sensor(), device="any", kind=kind, source=source))
    assert owned(meter, setup(own_host=own_host, scope=scope)).sensor.owner == owner


def test_of_two_kinds_that_measure_the_machine_the_first_is_read_and_the_other_named() -> None:
    def found(name: str, kind: str = "machine") -> Found:
        return Found([Still(replace(sensor(), device=name, name=name, kind=kind))])

    kinds = [found("GPU-0", "gpu"), found("a plug"), found("a battery"), found("package-0", "cpu")]
    left = one_meter_of_the_machine(kinds)
    assert [m.sensor.name for each in left for m in each.meters] == ["GPU-0", "a plug", "package-0"]
    [note] = [note for each in left for note in each.notes]
    assert "a battery" in note
    assert "a plug" in note


def test_only_the_run_s_own_is_in_its_total() -> None:
    drawn = {"run": 100.0, "spare": 30.0, "host": 500.0, "machine": 900.0, "part": 50.0}
    trace = Trace(
        readings=tuple(
            readings([0, 10], [0.0, joules], replace(sensor(), device=owner, owner=owner))
            for owner, joules in drawn.items()
        )
    )
    borders = (0, 10 * SECOND)
    for owner, joules in drawn.items():
        [curve] = curves(trace, borders, owner)
        assert curve.between(*borders).energy_j == pytest.approx(joules)
    [own] = curves(trace, borders)
    assert own.sensor.device == "run"


def test_where_every_sensor_is_the_host_s_the_estimate_stands_in() -> None:
    trace = Trace(
        readings=(
            readings([0, 10], [0.0, 500.0], replace(sensor(), device="package-0", owner="host")),
            readings(
                [0, 10], [0.0, 80.0], replace(sensor(), device="cpu:here", source="estimated")
            ),
        )
    )
    [own] = curves(trace, (0, 10 * SECOND))
    assert own.sensor.source == "estimated"


def test_a_spare_gpu_is_measured_beside_the_run_s(stand_in: Pretend, trace: Path) -> None:
    powers_w = {"run": 300.0, "spare": 50.0}
    machine = stand_in(power_w=list(powers_w.values()), counter_update_ms=20)
    used, spare = (gpu.uuid for gpu in machine.gpus)
    setup = MeterSetup(os.getpid(), (used,), 1.0, "", spare_gpus=(spare,))
    recorder = RecorderProcess(trace, EnergySettings(meters=("nvml",), idle_s=0), setup)
    start_ns = time.monotonic_ns()
    time.sleep(1)
    end_ns = time.monotonic_ns()
    recorder.stop()
    found = read_trace(trace)
    seconds = (end_ns - start_ns) * 1e-9
    for owner, power_w in powers_w.items():
        [curve] = curves(found, (start_ns, end_ns), owner)
        drawn_j = curve.between(start_ns, end_ns).energy_j
        assert drawn_j == pytest.approx(power_w * seconds, abs=power_w * 0.1)
