"""The stand-in NVML, and recorders as the harness starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.energy.meter import MeterSetup
from harness.energy.recorder_process import RecorderProcess
from harness.settings import EnergySettings

SOURCE = Path(__file__).parents[1] / "fakes" / "nvml.c"
LIBRARY = "libnvidia-ml.so.1"

StandIn = Callable[..., None]
Start = Callable[..., RecorderProcess]


@pytest.fixture(scope="session")
def stand_in_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-in NVML in it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler ('cc') to build the stand-in NVML with")
    if sys.platform != "linux":
        pytest.skip("the stand-in NVML takes the driver's place through LD_LIBRARY_PATH of Linux")
    folder = tmp_path_factory.mktemp("stand-in")
    flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run([compiler, *flags, "-o", folder / LIBRARY, SOURCE], check=True)
    return folder


@pytest.fixture
def stand_in(stand_in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts the stand-in NVML in the driver's place, with settings as in nvml.c."""

    def pretend(**settings: object) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", str(stand_in_folder))
        for name, value in settings.items():
            monkeypatch.setenv(f"STANDIN_{name.upper()}", str(value))

    return pretend


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
    ) -> RecorderProcess:
        settings = EnergySettings(meters=meters, period_s=period_s)
        setup = MeterSetup(process_id or os.getpid(), gpus, 5.0, "a test's figure")
        started.append(RecorderProcess(trace, settings, setup))
        return started[-1]

    yield begin
    for recorder in started:
        recorder.stop()
