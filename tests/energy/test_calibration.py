"""Calibrating the estimate: machines whose power is concave in threads, measured and then judged.

A stand-in RAPL follows the concave power of a made-up machine. The estimate, which sees CPU time in
ticks alone, must then find that power.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from harness.energy.calibration import busy, calibrate, calibration_of, numbers_of_threads
from harness.energy.integration.windows import curves, threads_in_use
from harness.energy.live import LiveEnergy
from harness.energy.sensors import battery, plugs, sysfs
from harness.energy.sensors.base import MeterSetup, Sensor
from harness.energy.sensors.estimate import (
    CpuEstimate,
    calibrated_curve,
    calibration_file,
    find,
)
from harness.energy.sensors.power_curve import PowerCurve
from harness.energy.sensors.rapl import ELSEWHERE
from harness.energy.trace import Trace
from harness.errors import MeasurementError
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.table import Tables
from harness.runner import attempt as training
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.utils.jsonl import LogWriter
from reports.data import study_results
from reports.statistics.energy_ratio import energy_ratio, threads_doubt
from reports.text.warnings import warnings
from tests.energy.machine import Clock, watch
from tests.energy.traces import SECOND, counted, header, readings, sensor
from tests.fakes.known_power import KnownPower
from tests.fakes.laptop import FakeBattery
from tests.fakes.plug import FakePlug
from tests.fakes.rapl import FakeRapl
from tests.scheduler.started import called

THREADS = 16
IDLE_W = 40.0
EPYC_W = np.interp(np.arange(17), [0, 1, 3, 6, 8, 16], [0, 16.3, 37.5, 43.2, 46.4, 46.4])
"""Above idle, of an EPYC 8024P in CodeCarbon's load profiles."""
MACHINES: dict[str, Callable[[float], float]] = {
    "linear": lambda n: 4.0 * n,
    "root": lambda n: 12.0 * n**0.5,
    "saturating": lambda n: 90.0 * (1 - math.exp(-n / 5)),
    "two slopes": lambda n: 6.0 * min(n, 8) + 2.0 * max(n - 8, 0),
    "EPYC 8024P": lambda n: float(EPYC_W[round(n)]),
}
TICK_S = 0.01
PERIOD_S = 0.05


def recorded(power_w: Callable[[float], float]) -> tuple[Trace, list[tuple[int, int, int]]]:
    """What RAPL shows of a machine that idles, then works with ever more threads; and when."""
    numbers = [0, *numbers_of_threads(THREADS)]
    power = KnownPower(IDLE_W)
    for place, threads in enumerate(numbers):
        power.draw(IDLE_W + (power_w(threads) if threads else 0.0), 10 * place * SECOND)
    rapl = sensor(device="package-0", update_s=0.001)
    rapl = replace(rapl, kind="cpu", name="package-0", resolution_j=1e-6)
    times_s = np.arange(0, 10 * len(numbers), PERIOD_S)
    windows = [
        (threads, (10 * place + 2) * SECOND, (10 * place + 9) * SECOND)
        for place, threads in enumerate(numbers)
    ]
    return Trace(readings=(counted(power, times_s.tolist(), rapl),), period_s=PERIOD_S), windows


def known(power_w: Callable[[float], float]) -> PowerCurve:
    """The curve that such a calibration finds, without its scatter."""
    numbers = tuple(numbers_of_threads(THREADS))
    return PowerCurve(numbers, tuple(map(power_w, numbers)), 0.05, 0.05, "RAPL", "2026-01-01")


def estimate_of(curve: PowerCurve | None) -> Sensor:
    return CpuEstimate(None, MeterSetup(1, None, 5.0, "made up"), curve).sensor  # type: ignore[arg-type]


def cpu_readings(of: Sensor, busy_at: Callable[[NDArray], NDArray], end_s: float) -> Trace:
    """What the estimate reads of threads that are busy over time, in ticks of CPU time."""
    fine_s = np.arange(0, end_s + 1e-9, 0.001)
    cpu_s = np.concatenate([[0.0], np.cumsum(busy_at(fine_s[:-1] + 0.0005) * 0.001)])
    at_s = np.arange(0, end_s + 1e-9, PERIOD_S)
    ticks_s = np.floor(np.interp(at_s, fine_s, cpu_s) / TICK_S + 1e-6) * TICK_S
    made = readings(at_s.tolist(), (ticks_s * (of.thread_power_w or 0)).tolist(), of)
    return Trace(readings=(made,), period_s=PERIOD_S)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_estimate_is_within_a_tenth_for_one_to_all_threads(machine: str) -> None:
    power_w = MACHINES[machine]
    model = estimate_of(known(power_w))
    for threads in range(1, THREADS + 1):
        trace = cpu_readings(model, lambda t, n=threads: np.full(len(t), float(n)), 10.0)
        [curve] = curves(trace, {0, 10 * SECOND})
        found = curve.between(0, 10 * SECOND)
        assert found.energy_j == pytest.approx(power_w(threads) * 10, rel=0.1), threads
        used = threads_in_use(trace, [0], [10 * SECOND])
        assert used == [pytest.approx(threads, rel=0.01)]


def test_a_constant_is_right_at_one_number_alone() -> None:
    """What the curve is for: by design power the same machine is off by a factor of three."""
    model = estimate_of(None)
    trace = cpu_readings(model, np.ones_like, 10.0)
    [curve] = curves(trace, {0, 10 * SECOND})
    assert curve.between(0, 10 * SECOND).energy_j < MACHINES["EPYC 8024P"](1) * 10 / 3


def test_windows_get_the_power_of_the_threads_that_were_busy_in_them() -> None:
    power_w = MACHINES["root"]
    model = estimate_of(known(power_w))
    trace = cpu_readings(model, lambda t: np.where(t < 5, 16.0, 1.0) * (t < 8), 10.0)
    edges = [0, 5 * SECOND, 8 * SECOND, 10 * SECOND]
    [curve] = curves(trace, edges)
    drawn = [each.energy_j for each in curve.windows(edges[:-1], edges[1:])]
    truth = [power_w(16) * 5, power_w(1) * 3, 0.0]
    assert drawn == pytest.approx(truth, rel=0.05, abs=power_w(1) * 0.1)
    assert sum(drawn) == pytest.approx(curve.between(0, 10 * SECOND).energy_j)


def test_the_residual_is_no_gain_and_live_follows_the_curve(tmp_path: Path) -> None:
    model = estimate_of(known(MACHINES["root"]))
    trace = cpu_readings(model, lambda t: np.full(len(t), 4.0), 5.0)
    [curve] = curves(trace, {0, 5 * SECOND})
    found = curve.between(0, 5 * SECOND)
    assert found.gap_j == pytest.approx(0.05 * found.energy_j)
    assert found.gain_j == pytest.approx(math.hypot(0.05, 0.2) * found.energy_j)
    log = LogWriter(tmp_path / "trace.jsonl")
    log.append(header([model]))
    [made] = trace.readings
    for time_ns, value in zip(made.time_ns.tolist(), made.value.tolist(), strict=True):
        log.append([0, time_ns, value])
    log.close()
    live = LiveEnergy(tmp_path / "trace.jsonl")
    live.update()
    assert live.energy_j == pytest.approx(found.energy_j, rel=0.05)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_calibration_measures_the_machine_and_is_stored(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    power_w = MACHINES[machine]
    found = calibration_of(*recorded(power_w))
    assert found.curve.threads == (1, 2, 3, 4, 6, 8, 12, 16)
    assert found.idle.power_w == pytest.approx(IDLE_W, rel=1e-3)
    truth_w = [power_w(n) for n in found.curve.threads]
    assert found.curve.power_w == pytest.approx(truth_w, rel=1e-3)
    every = np.arange(1, THREADS + 1)
    off = np.abs(found.curve.watts(every) / [power_w(n) for n in every] - 1)
    assert off.max() <= max(found.curve.residual, 1e-3), "the residual bounds what is between"
    assert found.curve.residual < 0.1
    path = found.store()
    assert path == calibration_file()
    curve, note = calibrated_curve()
    assert curve == found.curve
    assert note is None
    [cpu, _] = find(MeterSetup(os.getpid(), None, 5.0, "made up")).meters
    assert cpu.sensor.power_curve == found.curve
    assert Sensor.from_json(json.loads(json.dumps(cpu.sensor.to_json()))) == cpu.sensor


@pytest.mark.parametrize("kind", ["battery", "plug"])
def test_a_meter_of_the_whole_machine_calibrates_as_well(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sysfs.ELSEWHERE, str(tmp_path))
    power_w, clock, numbers = MACHINES["root"], Clock(), (0, 1, 2, 4)
    with FakePlug("shelly2") as plug:
        device = plug if kind == "plug" else FakeBattery(tmp_path, 20.0, refresh_s=5)
        device.turn_to(clock.clock_ns)
        if kind == "plug":
            opened = plugs.opened(plug.address)
            meters = plugs.meters_of(opened, plug.address, lambda: clock.clock_ns * 1e-9)
        else:
            meters = battery.find(MeterSetup(os.getpid(), None, 5.0, "made up")).meters
        levels_w = [20 + power_w(threads) for threads in numbers]
        trace, borders = watch(device, meters, clock, [120] * len(numbers), levels_w)
    found = calibration_of(trace, list(zip(numbers, borders, borders[1:], strict=False)))
    assert found.idle.power_w == pytest.approx(20, rel=0.1)
    for threads in range(1, 5):
        assert found.curve.watts(threads) == pytest.approx(power_w(threads), rel=0.1)
    assert found.curve.is_simulated == (kind == "battery")  # its folder is not the kernel's


def test_one_that_cannot_be_used_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert calibrated_curve() == (None, None)
    calibration_file().parent.mkdir(parents=True)
    good = {"host": "elsewhere", "cpu": "another", "curve": vars(known(MACHINES["root"]))}
    for content, word in (
        (json.dumps(good), "another CPU"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps({**good, "curve": {**good["curve"], "power_w": [1, -1, 1, 1, 1]}}), "read"),
    ):
        calibration_file().write_text(content)
        curve, note = calibrated_curve()
        assert curve is None
        assert note
        assert word in note
        assert "calibrate again" in note


def test_a_meter_that_does_not_see_the_load_calibrates_nothing() -> None:
    with pytest.raises(MeasurementError, match="does not show that 1 busy threads draw more"):
        calibration_of(*recorded(lambda _: 0.0))


def test_without_a_meter_there_is_nothing_to_calibrate_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ELSEWHERE, str(tmp_path / "nothing"))
    with pytest.raises(MeasurementError, match="nothing to calibrate by"):
        calibrate(2, level_s=0.1, settle_s=0.0)


def test_the_load_keeps_as_many_threads_busy_and_ends() -> None:
    others = psutil.Process(os.getpid()).children()
    with busy(2):
        working = set(psutil.Process(os.getpid()).children()) - set(others)
        assert len(working) == 2
    assert not any(each.is_running() for each in working)


def test_numbers_of_threads_hold_one_half_and_all() -> None:
    assert numbers_of_threads(1) == [1]
    assert numbers_of_threads(2) == [1, 2]
    assert numbers_of_threads(6) == [1, 2, 3, 4, 6]
    assert numbers_of_threads(20) == [1, 2, 3, 4, 6, 8, 10, 12, 16, 20]
    assert numbers_of_threads(20, fine=False) == [1, 2, 4, 8, 10, 16, 20]


ARMS = {"dense": 16.0, "early_bird": 2.0}
"""Threads that each method of the study keeps busy."""
STUDY = {
    "name": "threads",
    "seeds": [0, 1, 2],
    "workload": {"data": "digits", "model": "vgg_small"},
    "training": {"epochs": 1, "batch_size": 256},
    "methods": {"dense": {}, "early_bird": {"window": 2}},
}


def run_with(spec: RunSpec, folder: RunFolder, model: Sensor) -> None:
    """One run, and the trace of an estimate whose threads are those of its method."""
    training.attempt(training.RunContext(spec, folder, torch.device("cpu")), lambda: None)
    events = Journal(folder).attempts[-1].events
    first, last = events[0]["time_ns"], events[-1]["time_ns"]
    length_s = (last - first) * 1e-9 + 0.2
    made = cpu_readings(model, lambda t: np.full(len(t), ARMS[spec.method]), length_s)
    log = LogWriter(folder.trace(1))
    log.append(header([model]))
    [of_cpu] = made.readings
    for time_ns, value in zip(of_cpu.time_ns.tolist(), of_cpu.value.tolist(), strict=True):
        log.append([0, first - SECOND // 20 + time_ns, value])
    log.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[RunSpec, RunFolder]]:
    folder = StudyFolder(tmp_path_factory.mktemp("threads"))
    folder.settings.write_text(json.dumps({"schema_version": 1, **STUDY, "carbon": {}}))
    found = []
    for spec in expand(Study(**STUDY), Registry.discover()):  # type: ignore[arg-type]
        run = folder.run(spec)
        run.path.mkdir(parents=True)
        run.spec.write_text(spec.model_dump_json())
        found.append((spec, run))
        run_with(spec, run, estimate_of(known(MACHINES["EPYC 8024P"])))
    return found


def test_methods_with_different_threads_get_the_right_ratio_within_its_interval(runs) -> None:
    power_w = MACHINES["EPYC 8024P"]
    results = study_results(Tables(runs[0][1].path.parents[2]))
    lasted = {(row["arm"], row["seed"]): row["duration_s"] for _, row in results.runs.iterrows()}
    true = [
        power_w(2) * lasted["early_bird", seed] / (power_w(16) * lasted["dense", seed])
        for seed in STUDY["seeds"]
    ]
    ratio = energy_ratio(results, "early_bird", "dense")
    truth = math.exp(np.mean(np.log(true)))
    assert ratio.low <= truth <= ratio.high
    assert ratio.mean == pytest.approx(truth, rel=0.1)
    assert threads_doubt(results.finished_of("early_bird"), results.finished_of("dense")) == 0
    assert "threads in use" not in [each.kind for each in warnings(results)]
    # The same runs by one constant: eight times the threads are taken for eight times the power.
    assert results.runs["threads_in_use"].max() == pytest.approx(16, rel=0.05)
    assert set(results.runs["calibration"]) == {known(power_w).text}


def children() -> Iterator[psutil.Process]:
    return iter(psutil.Process().children(recursive=True))


def test_the_command_stores_the_curve_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    rapl = FakeRapl(tmp_path / "powercap", {"intel-rapl:0": "package-0"}, IDLE_W)
    monkeypatch.setenv(ELSEWHERE, str(rapl.path))
    assert called("doctor", "--level-s", "1").returncode == 2
    with rapl.turning(), rapl.loaded(lambda n: IDLE_W + MACHINES["root"](n), children):
        ended = called("doctor", "--calibrate", "--level-s", "0.5", "--json")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    curve, _ = calibrated_curve()
    assert curve
    assert list(curve.power_w) == facts["power_w"]
    assert facts["file"] == str(calibration_file())
    assert min(facts["power_w"]) > 0
