"""Writing readings: no change is lost, and no repeat is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.energy.recorder.trace_writer import SILENT_NS, TraceWriter
from harness.energy.trace import Readings, trace_of
from tests.energy.traces import header, sensor
from tests.energy.virtual import Lines

MS = 1_000_000
Reading = tuple[int, float | None, str | None]


def written(readings: list[Reading], *, released: bool = True) -> list[Any]:
    log = Lines()
    writer = TraceWriter(log)
    for time_ns, value, error in readings:
        writer.reading(0, time_ns, value, error)
    if released:
        writer.release()
    return log.lines


def every(step_ms: int, values: list[float | None], error: str = "Timeout") -> list[Reading]:
    return [(n * step_ms * MS, v, error if v is None else None) for n, v in enumerate(values)]


def test_both_sides_of_a_change_are_on_file_exactly() -> None:
    lines = written(every(50, [5.0, 5.0, 5.0, 7.0, 7.0, 9.0]))
    assert lines == [
        *([0, 0, 5.0], [0, 100 * MS, 5.0], [0, 150 * MS, 7.0]),
        *([0, 200 * MS, 7.0], [0, 250 * MS, 9.0]),
    ]


def test_a_constant_sensor_gives_a_sign_of_life_every_second() -> None:
    lines = written(every(50, [5.0] * 201))
    times = [line[1] for line in lines]
    assert len(lines) == 11
    assert max(np.diff(times)) == SILENT_NS


@pytest.mark.parametrize("killed_after", range(1, 90, 4))
def test_a_killed_recorder_loses_at_most_a_second_of_a_constant_sensor(killed_after) -> None:
    readings = every(50, [5.0] * killed_after)
    lines = written(readings, released=False)
    assert readings[-1][0] - lines[-1][1] < SILENT_NS


def test_equal_errors_are_thinned_and_different_ones_are_not() -> None:
    lines = written(every(10, [1.0, None, None, None, None, 2.0]))
    assert [line[1:] for line in lines] == [
        [0, 1.0],
        [10 * MS, None, "Timeout"],
        [40 * MS, None, "Timeout"],
        [50 * MS, 2.0],
    ]
    lines = written([(0, None, "Timeout"), (1, None, "GPU is lost"), (2, None, "Timeout")])
    assert len(lines) == 3


def test_sensors_are_thinned_apart_from_each_other() -> None:
    log = Lines()
    writer = TraceWriter(log)
    for number in range(10):
        writer.reading(0, number * MS, 5.0, None)
        writer.reading(1, number * MS, float(number), None)
    assert [line for line in log.lines if line[0] == 0] == [[0, 0, 5.0]]
    assert [line[2] for line in log.lines if line[0] == 1] == list(map(float, range(10)))


def value_at(readings: Readings, time_ns: int) -> float:
    return float(np.interp(time_ns, readings.time_ns, readings.value))


@given(
    st.lists(
        st.tuples(st.integers(1, 700 * MS), st.sampled_from([1.0, 2.0, 5.0])),
        min_size=2,
        max_size=60,
    )
)
def test_what_is_on_file_says_the_same_as_what_was_read(steps) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    full = [(time, value, None) for time, (_, value) in zip(times, steps, strict=True)]
    (found,) = trace_of([header([sensor("power")]), *written(full)]).readings
    assert np.all(np.diff(found.time_ns) > 0)
    for time_ns, value, _ in full:
        assert value_at(found, time_ns) == value
    assert found.time_ns[-1] == times[-1]
