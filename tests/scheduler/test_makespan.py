"""How long runs take on several places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scheduler.ordering import makespan_s

LENGTHS = st.lists(st.floats(0, 1e6), max_size=50)


@given(LENGTHS, st.integers(1, 60))
def test_it_is_within_grahams_bounds(lengths: list[float], places: int) -> None:
    span = makespan_s(lengths, places)
    longest, share = max(lengths, default=0.0), sum(lengths) / places
    assert span >= max(longest, share) * (1 - 1e-9)
    assert span <= (share + (1 - 1 / places) * longest) * (1 + 1e-9)


def test_one_place_takes_the_sum_and_a_place_each_the_longest() -> None:
    assert makespan_s([3, 1, 2], 1) == 6
    assert makespan_s([3, 1, 2], 3) == 3
    assert makespan_s([], 3) == 0


def test_what_builds_on_another_waits_for_it() -> None:
    assert makespan_s([3, 1], 2, [[], [0]]) == pytest.approx(4)
