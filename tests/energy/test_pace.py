"""When sensors are read: against counters whose updates are known, at moments without any clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.energy.recorder.read_schedule import RHYTHM_PERIOD_NS, CounterPace, EvenPace

MS = 1_000_000
UPDATE = 100 * MS
Shown = Callable[[int], int]


class Watch:
    """A pace at work on a counter: the moments of its readings, and what was seen moving."""

    def __init__(self, pace: CounterPace, shown: Shown) -> None:
        self._pace, self._shown = pace, shown
        self.reads: list[int] = []
        self.updates: list[tuple[int, int]] = []  # last reading before, first one after

    def until(self, end_ns: int, borders: Sequence[int] = ()) -> None:
        waiting = sorted(borders)
        while True:
            due = self._pace.next_ns
            if waiting and waiting[0] <= due:
                self._pace.border(waiting.pop(0))
                continue
            if due >= end_ns:
                return
            moved = bool(self.reads) and self._shown(due) != self._shown(self.reads[-1])
            if moved:
                self.updates.append((self.reads[-1], due))
            self._pace.read(due, due, moved=moved)
            self.reads.append(due)

    def sharp(self, start_ns: int, end_ns: int) -> list[int]:
        """Moments within which updates were seen to 2 ms."""
        return [b for a, b in self.updates if b - a <= 2 * MS and start_ns <= b < end_ns]

    def count(self, start_ns: int, end_ns: int) -> int:
        return sum(start_ns <= each < end_ns for each in self.reads)


def even(update_ns: int = UPDATE, phase_ns: int = 0) -> Shown:
    return lambda now_ns: (now_ns - phase_ns) // update_ns


def watch(shown: Shown, update_ns: int = UPDATE, last_ns: int = 0) -> Watch:
    return Watch(CounterPace(update_ns, last_ns), shown)


@pytest.mark.parametrize("offset_ms", [1, 37, 50, 96, 99])
def test_three_updates_after_a_border_are_seen_to_2_ms_with_few_reads(offset_ms) -> None:
    border = 5_000 * MS + offset_ms * MS
    found = watch(even())
    found.until(border + 900 * MS, [border])
    assert len(found.sharp(border, border + 320 * MS)) >= 3
    assert border in found.reads
    assert found.count(border, border + 320 * MS) <= 14


def test_a_border_just_on_an_update_costs_the_reads_up_to_the_next() -> None:
    """Whether the counter moved just now or long ago cannot be determined."""
    border = 5_000 * MS
    found = watch(even())
    found.until(border + 900 * MS, [border])
    assert len(found.sharp(border, border + 420 * MS)) >= 3
    assert 14 < found.count(border, border + 420 * MS) <= 62


def test_without_borders_one_update_a_second_is_seen_with_few_reads() -> None:
    found = watch(even())
    found.until(61_000 * MS)
    assert 59 <= len(found.sharp(1_000 * MS, 61_000 * MS)) <= 62
    assert found.count(1_000 * MS, 61_000 * MS) <= 5 * 60


@pytest.mark.parametrize("update_ms", [20, 33, 100])
@pytest.mark.parametrize("drift", [-0.01, 0.01])
def test_a_rhythm_off_by_a_percent_is_learnt(update_ms, drift) -> None:
    """So it is at first, too: half a second of reading is not enough."""
    found = watch(even(round(update_ms * MS * (1 + drift))), update_ms * MS)
    found.until(40_000 * MS)
    assert len(found.sharp(10_000 * MS, 40_000 * MS)) >= 28
    assert found.count(10_000 * MS, 40_000 * MS) <= 6 * 30


@pytest.mark.parametrize("jump_ms", [-49, -20, 5, 30, 50])
def test_a_rhythm_that_jumps_is_found_again(jump_ms) -> None:
    jumps = 10_050 * MS

    def shown(now_ns: int) -> int:
        return now_ns // UPDATE if now_ns < jumps else (now_ns - jump_ms * MS) // UPDATE + 1000

    found = watch(shown)
    found.until(40_000 * MS)
    assert found.count(10_000 * MS, 20_000 * MS) <= 200
    assert len(found.sharp(20_000 * MS, 40_000 * MS)) >= 19
    assert found.count(20_000 * MS, 40_000 * MS) <= 6 * 20


def test_a_counter_that_stands_still_is_looked_at_but_not_stared_at() -> None:
    found = watch(lambda now_ns: min(now_ns, 10_000 * MS) // UPDATE)
    found.until(70_000 * MS, [30_000 * MS, 30_020 * MS])
    reads = found.count(11_000 * MS, 70_000 * MS)
    assert 59 / 2 <= reads <= 59 * 110 / 1.2
    gaps = [b - a for a, b in pairwise(found.reads)]
    assert max(gaps) <= RHYTHM_PERIOD_NS
    assert found.count(40_000 * MS, 70_000 * MS) < 0.2 * 30_000 / 2


def test_many_borders_do_not_make_it_read_ever_more_closely() -> None:
    borders = [5_000 * MS + number * 7 * MS for number in range(1000)]
    found = watch(even())
    found.until(12_500 * MS, borders)
    # A reading each, and what is read around every update.
    assert found.count(5_000 * MS, 12_000 * MS) <= 1000 + 70 * 8
    assert len(found.sharp(5_000 * MS, 12_000 * MS)) >= 65


@given(
    update_ms=st.floats(2, 2_000),
    last_ns=st.integers(0, 10**15),
    steps=st.lists(
        st.tuples(st.integers(0, 3_000 * MS), st.booleans(), st.booleans()), min_size=1, max_size=60
    ),
)
def test_the_next_look_at_a_counter_is_always_ahead(update_ms, last_ns, steps) -> None:
    pace = CounterPace(round(update_ms * MS), last_ns)
    now = last_ns
    for late, moved, border in steps:
        if border:
            now += late
            pace.border(now)
            assert pace.next_ns == now
        now = max(pace.next_ns, now) + late
        pace.read(now, now, moved=moved)
        assert now < pace.next_ns <= now + 3_000 * MS + RHYTHM_PERIOD_NS


@given(
    period_ns=st.integers(1, 10**11),
    late=st.lists(st.integers(0, 10**12), min_size=1, max_size=40),
)
def test_the_next_look_at_an_even_pace_is_always_ahead(period_ns, late) -> None:
    pace = EvenPace(period_ns)
    now = 0
    for each in late:
        now = max(pace.next_ns, now) + each
        pace.read(now, now, moved=False)
        assert now < pace.next_ns <= now + period_ns


def test_an_even_pace_keeps_its_beat_when_readings_come_a_little_late() -> None:
    pace = EvenPace(50 * MS)
    pace.read(1_000 * MS, 1_000 * MS, moved=True)
    reads = []
    for number in range(100):
        now = pace.next_ns + (number * 7 % 40) * MS
        reads.append(now)
        pace.read(now, now, moved=True)
    assert all(0 <= now - (1_050 + 50 * n) * MS < 40 * MS for n, now in enumerate(reads))


def test_an_even_pace_never_catches_up_with_what_it_missed() -> None:
    pace = EvenPace(50 * MS)
    pace.read(1_000 * MS, 1_000 * MS, moved=True)
    pace.read(9_000 * MS, 9_000 * MS, moved=True)
    assert pace.next_ns == 9_050 * MS


def test_an_even_pace_reads_at_borders_only_if_it_should() -> None:
    silent, awake = EvenPace(50 * MS), EvenPace(50 * MS, at_borders=True)
    for pace in (silent, awake):
        pace.read(1_000 * MS, 1_000 * MS, moved=True)
        pace.border(1_010 * MS)
    assert (silent.next_ns, awake.next_ns) == (1_050 * MS, 1_010 * MS)
