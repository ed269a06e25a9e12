"""For how much of a window GPUs were busy: by NVML's utilisation, beside power."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from harness.energy.busy import BusyCurve
from harness.energy.recorder.device_reader import BusyStream
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import BUSY_PERIOD_NS, MeterSetup
from harness.energy.trace import Trace, trace_of
from harness.results.folder import StudyFolder
from harness.results.table import Tables
from harness.utils.jsonl import LogWriter
from tests.energy.conftest import BEGINS_NS, Pretend
from tests.energy.traces import readings, sensor
from tests.energy.virtual import SECOND, Lines, VirtualSignals
from tests.results.test_resume import SPECS, start


def look(at_s: float, percent: float, device: str = "GPU-0") -> dict[str, Any]:
    """A look whose figure stands for the period before it."""
    return {
        "busy_percent": percent,
        "device": device,
        "time_ns": round(at_s * SECOND) + BUSY_PERIOD_NS,
    }


def curve(*looks: dict[str, Any]) -> BusyCurve:
    return BusyCurve(Trace((readings([0, 100], [0, 1], sensor()),), events=looks))


@pytest.mark.parametrize(
    ("start_s", "end_s", "share"),
    [(10, 20, 0.5), (15, 25, 0.75), (20, 30, 1.0), (0, 20, 0.5), (12, 13, 0.5), (40, 50, 1.0)],
)
def test_a_figure_holds_until_the_next(start_s: float, end_s: float, share: float) -> None:
    found = curve(look(10, 50), look(20, 100)).between(start_s * SECOND, end_s * SECOND)
    assert found.share == pytest.approx(share)


def test_gpus_are_averaged_and_only_the_runs_own_count() -> None:
    looks = look(0, 100), look(0, 20, "GPU-1"), look(0, 0, "GPU-spare")
    trace = Trace(
        (
            readings([0, 9], [0, 1], sensor()),
            readings([0, 9], [0, 1], sensor(device="GPU-1")),
            readings([0, 9], [0, 1], sensor(device="GPU-spare", owner="spare")),
        ),
        events=looks,
    )
    assert BusyCurve(trace).between(0, 9 * SECOND).share == pytest.approx(0.6)


def test_a_figure_holds_until_it_cannot_be_read_and_no_longer_than_sensors_are() -> None:
    lost = {**look(29, 0), "busy_percent": None}  # read in vain at 30 s
    found = curve(look(10, 50), lost, look(40, 100))
    for start_s, end_s, seconds in ((20, 40, (5, 10)), (90, 200, (10, 10))):
        busy = found.between(start_s * SECOND, end_s * SECOND)
        assert (busy.busy_s, busy.watched_s) == pytest.approx(seconds)
    assert math.isnan(found.between(30 * SECOND, 40 * SECOND).share)


class _Observer:
    """Says what it is to say, and raises what it is to raise."""

    device = "GPU-0"

    def __init__(self, *answers: float | Exception | None) -> None:
        self._answers = list(answers)

    def settings(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def busy_percent(self) -> float | None:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_that_it_cannot_be_read_is_written_once() -> None:
    log = Lines()
    answers = (None, 40.0, 40.0, None, RuntimeError("lost"), 40.0, 30.0)
    stream = BusyStream([_Observer(*answers)], TraceWriter(log))
    for second in range(len(answers)):
        stream.look(second * SECOND)
    stream.lose(10 * SECOND)
    stream.lose(11 * SECOND)
    found = [(line["busy_percent"], line["time_ns"] // SECOND) for line in log.lines]
    assert found == [(40, 1), (None, 3), (40, 5), (30, 6), (None, 10)]


def test_where_nothing_is_reported_it_is_unknown() -> None:
    assert math.isnan(curve().between(0, SECOND).share)
    assert math.isnan(curve(look(10, 50)).between(0, 5 * SECOND).share)


class _Loaded(VirtualSignals):
    """A GPU that has half of the work from some moment on."""

    def now_ns(self) -> int:
        now_ns = super().now_ns()
        if now_ns > BEGINS_NS + 40 * SECOND:
            self._machine.gpus[0].utilisation_percent = 50
        return now_ns


def recorded(virtual: Pretend, **settings: float) -> tuple[Trace, list[Any]]:
    machine = virtual(utilisation_percent=90, **settings)
    found = nvml.find(MeterSetup(1, None, 4.0, ""))
    log, signals = Lines(), _Loaded(machine, [])
    header = {"sensors": [m.sensor.to_json() for m in found.meters], "notes": [], "period_s": 0.05}
    log.append(header)
    recording = Recording(found.meters, found.observers, TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(0)
    signals.plan([], BEGINS_NS + 80 * SECOND)
    recording.read()
    lines = [each for each in log.lines if isinstance(each, dict) and "busy_percent" in each]
    return trace_of(log.lines), lines


def test_the_recorder_looks_once_a_second_and_writes_what_has_changed(virtual: Pretend) -> None:
    trace, lines = recorded(virtual)
    assert [line["busy_percent"] for line in lines] == [90, 50]
    busy = BusyCurve(trace)
    for start_s, end_s, share in ((10, 30, 0.9), (50, 70, 0.5), (20, 60, 0.7)):
        window = (BEGINS_NS + start_s * SECOND, BEGINS_NS + end_s * SECOND)
        assert busy.between(*window).share == pytest.approx(share, abs=0.4 / 20)


def test_a_board_in_slices_does_not_tell(virtual: Pretend) -> None:
    trace, lines = recorded(virtual, mig=1)
    assert not lines
    assert math.isnan(BusyCurve(trace).between(BEGINS_NS, BEGINS_NS + SECOND).share)


@pytest.mark.parametrize(("percent", "flagged"), [(70, True), (85, False), (None, False)])
def test_a_training_that_waits_for_the_host_is_flagged(
    percent: float | None, flagged: bool, tmp_path: Path
) -> None:
    """What surrounds the training, such as an idle minute at its start, does not count."""
    spec = SPECS[0]
    folder = start(spec, tmp_path)
    journal = LogWriter(folder.journal)
    for at_s, event in (
        (0, {"event": "attempt", "number": 1, "restored": 0}),
        (60, {"event": "phase", "phase": 0, "window": "train", "kind": "Train"}),
        (60, {"event": "border", "window": "train"}),
        (80, {"event": "border", "window": "evaluation"}),
        (90, {"event": "end", "status": "done"}),
    ):
        journal.append({**event, "time_ns": at_s * SECOND})
    journal.close()
    trace = LogWriter(folder.trace(1))
    trace.append({"sensors": [sensor().to_json()], "notes": [], "period_s": 0.05})
    for at_s in range(95):
        trace.append([0, at_s * SECOND, 200.0 * at_s])
    if percent is not None:
        for line in (look(0, 0), look(60, percent), look(80, 10)):
            trace.append(line)
    trace.close()
    tables = Tables(StudyFolder(tmp_path).path)
    [run] = tables.runs.to_dict("records")
    assert ("busy for 70%" in run["energy_flags"]) == flagged
    shares = tables.phases.set_index("phase")["gpu_busy"]
    if percent is None:
        assert math.isnan(run["gpu_busy"])
        assert shares.isna().all()
    else:
        assert run["gpu_busy"] == shares["train"] == pytest.approx(percent / 100)
        assert shares["evaluation"] == pytest.approx(0.1)
