"""The stand-in NVML, and recorders as the harness starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pynvml
import pytest

from harness.energy.recorder.process import RecorderProcess
from harness.energy.sensors import rapl
from harness.energy.sensors.base import MeterSetup
from harness.settings.settings import EnergySettings
from tests.fakes.stand_in import LIBRARY, StandIn

BEGINS_NS = 50_000_000_000
"""When a virtual machine's time begins."""
Pretend = Callable[..., StandIn]
Start = Callable[..., RecorderProcess]


@pytest.fixture
def stand_in(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretend]:
    """Puts a stand-in NVML in the driver's place, for processes started from then on.

    Takes what `StandIn` takes, and returns the machine.
    """
    made: list[StandIn] = []

    def pretend(
        gpus: int = 1, power_w: float | Sequence[float] = 200.0, **settings: float
    ) -> StandIn:
        path = tmp_path / f"stand-in-{len(made)}"
        made.append(StandIn(path, gpus, power_w, **settings))
        for name, value in made[-1].environment(library).items():
            monkeypatch.setenv(name, value)
        return made[-1]

    yield pretend
    for machine in made:
        machine.close()


@pytest.fixture
def virtual(library: Path, tmp_path: Path) -> Iterator[Pretend]:
    """Puts a stand-in NVML in the driver's place within this process, in virtual time.

    Takes what `StandIn` takes, and returns the machine.
    """
    made: list[StandIn] = []

    def pretend(
        gpus: int = 1, power_w: float | Sequence[float] = 200.0, **settings: float
    ) -> StandIn:
        path = tmp_path / f"virtual-{len(made)}"
        made.append(StandIn(path, gpus, power_w, clock_ns=BEGINS_NS, **settings))
        made[-1].load(library)
        pynvml.nvmlInit()
        return made[-1]

    yield pretend
    for machine in made:
        machine.close()


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is read in the place of Linux's, by child processes too."""
    monkeypatch.setenv(rapl.ELSEWHERE, str(tmp_path / "powercap"))
    return tmp_path / "powercap"


@pytest.fixture
def no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which NVML cannot be loaded, even if this one has a GPU."""
    folder = tmp_path / "no-driver"
    folder.mkdir()
    (folder / LIBRARY).touch()  # found first, and no library
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where recorders write."""
    return tmp_path / "trace.jsonl"


@pytest.fixture
def start(trace: Path) -> Iterator[Start]:
    """Starts a recorder that writes to `trace`; every one is stopped at the end."""
    started: list[RecorderProcess] = []

    def begin(
        *meters: str,
        gpus: tuple[str, ...] | None = None,
        process_id: int | None = None,
        period_s: float = 0.02,
        idle_s: float = 0.0,
        cool_down_c: float | None = None,
        borders: int | None = None,
    ) -> RecorderProcess:
        settings = EnergySettings(
            meters=meters, period_s=period_s, idle_s=idle_s, cool_down_c=cool_down_c
        )
        setup = MeterSetup(process_id or os.getpid(), gpus, 5.0, "a test's figure")
        started.append(RecorderProcess(trace, settings, setup, borders))
        return started[-1]

    yield begin
    for recorder in started:
        recorder.stop()
