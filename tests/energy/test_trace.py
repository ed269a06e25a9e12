"""Reading a trace: whatever is left of one, in whatever state its recorder was."""

from __future__ import annotations

import pydantic
import pytest

from harness.energy.sensors import base
from harness.energy.trace import read_trace
from tests.energy.traces import encode, header, sensor


def test_trace_cut_anywhere_loses_only_the_line_it_was_cut_in(trace) -> None:
    samples = [[0, 1000 * number, 0.5 * number] for number in range(4)]
    content = encode([header([sensor()]), *samples])
    first = content.index(b"\n") + 1
    for size in range(first, len(content) + 1):
        trace.write_bytes(content[:size])
        whole = content[first:size].count(b"\n")
        (readings,) = read_trace(trace).readings
        assert readings.time_ns.tolist() == [0, 1000, 2000, 3000][:whole]


@pytest.mark.parametrize("cut", [b"", b'{"sensors": [{"dev', b'{"sensors":[]}'])
def test_trace_whose_recorder_died_at_its_first_line_is_empty(trace, cut) -> None:
    trace.write_bytes(cut)
    assert read_trace(trace).readings == ()


def test_failed_readings_are_counted_and_left_out(trace) -> None:
    samples = [[0, 1, 5.0], [0, 2, None, "GPU is lost"], [0, 3, 7.0], [1, 3, None, "Timeout"]]
    trace.write_bytes(encode([header([sensor(), sensor("power")]), *samples]))
    energy, power = read_trace(trace).readings
    assert (energy.value.tolist(), energy.failed_ns.tolist()) == ([5.0, 7.0], [2])
    assert (power.value.tolist(), power.failures) == ([], 1)


def test_trace_begun_anew_counts_from_there(trace) -> None:
    """An attempt that died before its first event leaves its trace to the next one.

    If the machine was restarted in between, the clock begins again, too.
    """
    old = [header([sensor("power"), sensor()]), [0, 9_000, 200.0], [1, 9_000, 70.0]]
    new = [header([sensor()]), [0, 1_000, 1.0], [0, 2_000, 3.0]]
    trace.write_bytes(encode([*old, *new]))
    (readings,) = read_trace(trace).readings
    assert readings.sensor.quantity == "energy"
    assert readings.time_ns.tolist() == [1_000, 2_000]


def test_all_else_that_a_recorder_wrote_is_kept(trace) -> None:
    lines = [
        {"settings": {"ecc": True}, "device": "GPU-0"},
        {"idle": [5, 9]},
        {"falsified": 0, "loss": 0.9},
        {"state": {"temperature_c": 40}, "device": "GPU-0", "time_ns": 7},
    ]
    trace.write_bytes(encode([header([sensor()]), *lines, [0, 11, 1.0]]))
    found = read_trace(trace)
    assert (found.idle_ns, found.falsified, found.end_ns) == ((5, 9), {0: 0.9}, 11)
    assert list(found.events) == lines


def test_the_check_of_sensors_is_made_once(trace, monkeypatch) -> None:
    made = []
    usual = pydantic.TypeAdapter
    monkeypatch.setattr(pydantic, "TypeAdapter", lambda of: made.append(of) or usual(of))
    trace.write_bytes(encode([header([sensor(), sensor("power")])]))
    base._validator.cache_clear()
    for _ in range(2):
        assert len(read_trace(trace).readings) == 2
    assert made == [base.Sensor]
