"""Who else uses the GPUs of a run, and waiting until they are cool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness.energy.recorder.conditions import (
    MAX_COOL_DOWN_S,
    Conditions,
    Neighbours,
    check_isolation,
)
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from harness.errors import MeasurementError
from harness.settings.settings import EnergySettings
from tests.energy.virtual import SECOND, VirtualSignals
from tests.fakes.stand_in import StandIn

NO_PROCESS = 2**22 + 12345
"""A number that no process has: Linux gives none above 2**22."""


def conditions(process_id: int | None = None) -> Conditions:
    process_id = process_id or os.getpid()
    found = nvml.find(MeterSetup(process_id, None, 4.0, ""))
    return Conditions(found.observers, Neighbours(process_id))


def foreign(machine: StandIn, processes: list[int], process_id: int | None = None) -> Any:
    machine.gpus[0].processes = dict.fromkeys(processes, 1 << 20)
    return conditions(process_id).look()["conditions"][machine.gpus[0].uuid]["foreign"]


@pytest.fixture
def child() -> Iterator[int]:
    """A process that this one has started."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.stdin.close()


def test_own_processes_are_not_foreign_and_others_are_named(virtual, child) -> None:
    machine, own = virtual(), os.getpid()
    assert foreign(machine, [own]) == []
    assert foreign(machine, [own, child]) == []
    assert foreign(machine, [own, 1]) == [1]
    assert foreign(machine, [own, NO_PROCESS]) == [NO_PROCESS]
    assert foreign(machine, [child, own], process_id=child) == [own]


def test_processes_of_this_machine_are_foreign_even_before_the_run_is_listed(virtual) -> None:
    assert foreign(virtual(), [os.getppid()]) == [os.getppid()]


def test_whether_others_use_it_cannot_be_known_without_a_list_that_means_something(virtual) -> None:
    machine = virtual()
    assert foreign(machine, []) is None
    assert foreign(machine, [NO_PROCESS, NO_PROCESS + 1]) is None
    machine.gpus[0].processes_hidden = 1
    assert foreign(machine, [os.getpid()]) is None
    machine.gpus[0].processes_hidden = 0
    machine.fault(3, "nvmlDeviceGetComputeRunningProcesses")
    assert foreign(machine, [os.getpid()]) is None


def test_an_empty_list_means_nobody_where_another_card_lists_the_run(virtual) -> None:
    machine = virtual(gpus=2)
    machine.gpus[0].processes = {os.getpid(): 1 << 20}
    found = conditions().look()["conditions"]
    assert [found[gpu.uuid]["foreign"] for gpu in machine.gpus] == [[], []]


def test_temperature_and_throttling_are_reported_of_each_device(virtual) -> None:
    machine = virtual(gpus=2)
    machine.gpus[1].temperature_c, machine.gpus[1].throttle_reasons = 71, 0x4
    watcher = conditions()
    found = watcher.look()["conditions"]
    assert [found[gpu.uuid]["temperature_c"] for gpu in machine.gpus] == [40, 71]
    assert [found[gpu.uuid]["throttling"] for gpu in machine.gpus] == [[], ["power cap"]]
    machine.fault(15)
    unknown = {"temperature_c": None, "throttling": [], "foreign": None}
    assert watcher.look()["conditions"] == {gpu.uuid: unknown for gpu in machine.gpus}


class Cooling(VirtualSignals):
    """Lets a card cool by a degree in ten seconds."""

    def __init__(self, machine: StandIn) -> None:
        super().__init__(machine, [])
        self._began_ns, self._began_c = machine.clock_ns, machine.gpus[0].temperature_c
        self._card = machine.gpus[0]

    def wait(self, until_ns: int) -> bool:
        heard = super().wait(until_ns)
        waited_s = (self._machine.clock_ns - self._began_ns) / SECOND
        self._card.temperature_c = self._began_c - int(waited_s / 10)
        return heard


def test_a_run_waits_until_its_warmest_gpu_is_cool(virtual) -> None:
    machine = virtual(gpus=2)
    machine.gpus[0].temperature_c = 66
    event = conditions().cool_down(55, Cooling(machine))
    assert event["warmest_c"] == 55
    assert event["cooled_s"] == pytest.approx(110, abs=2)


def test_a_card_that_stays_warm_is_given_up_on(virtual) -> None:
    machine = virtual(temperature_c=80)
    event = conditions().cool_down(55, VirtualSignals(machine, []))
    assert event["warmest_c"] == 80
    assert MAX_COOL_DOWN_S <= event["cooled_s"] < MAX_COOL_DOWN_S + 5


def test_nobody_waits_for_a_cool_card_or_without_a_limit(virtual) -> None:
    signals = VirtualSignals(virtual(), [])
    assert conditions().cool_down(None, signals) is None
    event = conditions().cool_down(40, signals)
    assert event == {"cooled_s": pytest.approx(0, abs=0.01), "warmest_c": 40}


def test_stopping_ends_the_wait(virtual) -> None:
    machine = virtual(temperature_c=80)
    signals = VirtualSignals(machine, [])
    signals.stop_ns = machine.clock_ns + 7 * SECOND
    assert conditions().cool_down(55, signals) is None
    assert machine.clock_ns < signals.stop_ns + 2 * SECOND


@pytest.mark.parametrize(
    ("found", "words"),
    [([4, 9], "other processes use GPU-1: PID 4, 9"), (None, "cannot determine whether")],
)
def test_isolation_refuses_others_and_what_cannot_be_known_only_where_asked(found, words) -> None:
    devices = {"GPU-0": {"foreign": []}, "GPU-1": {"foreign": found}}
    check_isolation(EnergySettings(isolation="warn"), devices)
    with pytest.raises(MeasurementError, match=words):
        check_isolation(EnergySettings(isolation="error"), devices)
    check_isolation(EnergySettings(isolation="error"), {"GPU-0": {"foreign": []}})
