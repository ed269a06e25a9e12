"""Whose energy it is: the run's, of GPUs that stay idle, or of a host that others use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from harness.energy.meter import MeterSetup, Sensor
from harness.energy.recorder.owners import owned
from harness.energy.trace import Trace
from harness.energy.windows import curves
from tests.energy.traces import SECOND, readings, sensor


@dataclass
class Still:
    """A meter that nobody reads."""

    sensor: Sensor

    def read(self) -> float:
        return 0.0


def setup(*, own_host: bool) -> MeterSetup:
    return MeterSetup(1, ("GPU-0",), 1.0, "", spare_gpus=("GPU-1",), own_host=own_host)


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


def test_only_the_run_s_own_is_in_its_total() -> None:
    drawn = {"run": 100.0, "spare": 30.0, "host": 500.0}
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
