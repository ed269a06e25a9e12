"""Decides when a sensor is read next, from its readings and updates; it reads no clock.

Power is polled evenly. An energy counter is read rarely, since on some boards reading falsifies
it, and closely only where one of its updates is expected: once a second, to keep their rhythm
known, and three times after every border that the run announces, so that the updates around
the border are known to about 2 ms. A reading has two moments, its begin and its end: an update
happened between the begin of the last reading that did not show it and the end of the first that
did. On a slow driver or a busy machine that is long, and the rhythm narrows it.
"""

from __future__ import annotations

from harness.energy.sensors.base import SLOW_S

CLOSE_NS = 2_000_000
"""Time between two readings of a counter while an update of it is expected."""
RHYTHM_PERIOD_NS = 1_000_000_000
"""Time between two looks at a counter's rhythm."""
UPDATES_AFTER_BORDER = 3
"""The one that the border falls in, and two whole ones that show the power after it."""
LOOSE_NS = 10_000_000
"""Time between two readings of a counter of unknown rhythm some time after a border."""
SEARCH_CLOSE_NS = 300_000_000
SEARCH_NS = 3_000_000_000
"""After a border a counter of unknown rhythm is read closely, then loosely, until this time."""
SLOW_NS = round(SLOW_S * 1e9)
READ_ON_UPDATES = 3.5
"""At the end a slow counter that has missed this many updates stands still."""
_EARLY_NS = 4_000_000
_AT_ONCE_NS = 50_000
"""A driver that takes longer than `CLOSE_NS` is asked again after this."""
_MIN_STEPS = 5
"""Over this many updates their period is known to half a percent, though each one is blurred."""
_DRIFT = 0.03
"""A rhythm that seems to have changed by a larger share than this has jumped in phase instead."""


class EvenPace:
    """Read every `period_ns`, and once at every border if `at_borders`."""

    is_watching = False
    is_settled = True
    read_on_ns = 0

    def __init__(self, period_ns: int, *, at_borders: bool = False) -> None:
        self._period_ns = period_ns
        self._at_borders = at_borders
        self.next_ns = 0

    def border(self, now_ns: int) -> None:
        """Note that a border was announced."""
        if self._at_borders:
            self.next_ns = now_ns

    def read(self, began_ns: int, ended_ns: int, *, moved: bool) -> None:
        """Note a reading; `moved` if it showed a new value."""
        del moved
        late = began_ns - self.next_ns
        # Keep the phase, but do not catch up on missed readings.
        next_ns = began_ns + self._period_ns - (late if late < self._period_ns else 0)
        self.next_ns = max(next_ns, ended_ns + 1)


class CounterPace:
    """Catch a counter's updates one second apart, and those around borders.

    Args:
        update_ns: Time between two updates.
        last_update_ns: When one was seen.
    """

    def __init__(self, update_ns: int, last_update_ns: int) -> None:
        self.update_ns = update_ns
        self._expected_ns = last_update_ns + update_ns
        self._early_ns = _EARLY_NS
        self._wanted = UPDATES_AFTER_BORDER
        self._watching_since: int | None = None
        self._shown_ns = 0
        """Begin of the last reading of this watch."""
        self._seen_ns: int | None = None
        self.next_ns = self._expected_ns - self._early_ns

    @property
    def is_watching(self) -> bool:
        """Whether an update is waited for just now."""
        return self._watching_since is not None

    @property
    def read_on_ns(self) -> int:
        """How long after the end to wait until it is settled."""
        return round(READ_ON_UPDATES * self.update_ns)

    @property
    def is_settled(self) -> bool:
        """Whether enough was seen after the last border; of a slow counter its next update."""
        seen = UPDATES_AFTER_BORDER - self._wanted
        return self._wanted == 0 or (self.update_ns > SLOW_NS and seen > 0)

    def border(self, now_ns: int) -> None:
        """Note a border: the counter is read at once, and closely around the next updates."""
        self._wanted = UPDATES_AFTER_BORDER
        if self._watching_since is None:
            # An update that should just have happened may be late: it is watched for, too.
            ahead = -(-(now_ns - self._early_ns - self._expected_ns) // self.update_ns)
            self._expected_ns += ahead * self.update_ns
        self.next_ns = now_ns

    def read(self, began_ns: int, ended_ns: int, *, moved: bool) -> None:
        """Note a reading; `moved` if it showed a new value."""
        early_ns = self._expected_ns - self._early_ns
        shown_ns, self._shown_ns = self._shown_ns, began_ns
        if self._watching_since is None:
            # It moved at some unknown time since the last watch.
            self._watching_since = began_ns if began_ns >= early_ns else None
            self.next_ns = max(began_ns + CLOSE_NS, ended_ns + _AT_ONCE_NS, early_ns)
        elif moved:
            self._seen(shown_ns, ended_ns)
        elif self._watching_since > self._expected_ns and began_ns > self._expected_ns + _EARLY_NS:
            self._expect(self._expected_ns + self.update_ns, ended_ns)  # it had come before
        elif began_ns - self._watching_since > 2 * self.update_ns:
            self._lost(ended_ns)
        else:
            self.next_ns = max(began_ns + CLOSE_NS, ended_ns + _AT_ONCE_NS)

    def _seen(self, shown_ns: int, ended_ns: int) -> None:
        # The moment that was expected, moved into the time in which the update happened.
        moment_ns = min(max(self._expected_ns, shown_ns), ended_ns)
        missed = abs(moment_ns - self._expected_ns) > self._early_ns
        most = self.update_ns // 2
        self._early_ns = min(2 * self._early_ns, most) if missed else min(_EARLY_NS, most)
        if ended_ns - shown_ns < self.update_ns // 2:
            self._learn(moment_ns)
        self._wanted = max(self._wanted - 1, 0)
        steps = 1 if self._wanted else max(RHYTHM_PERIOD_NS // self.update_ns, 1)
        self._expect(moment_ns + steps * self.update_ns, ended_ns)

    def _learn(self, moment_ns: int) -> None:
        """Correct the time between two updates: read for half a second, it was known roughly."""
        if self._seen_ns is not None:
            steps = round((moment_ns - self._seen_ns) / self.update_ns)
            # A slow counter's steps are watched one by one, and each counts as much.
            if steps >= _MIN_STEPS or (steps > 0 and self.update_ns > SLOW_NS):
                found_ns = round((moment_ns - self._seen_ns) / steps)
                if abs(found_ns - self.update_ns) < _DRIFT * self.update_ns:
                    self.update_ns = found_ns
        self._seen_ns = moment_ns

    def _lost(self, now_ns: int) -> None:
        """Look again later: it stands still."""
        self._wanted = 0
        self._expect(now_ns + RHYTHM_PERIOD_NS, now_ns)

    def _expect(self, expected_ns: int, now_ns: int) -> None:
        self._expected_ns = expected_ns
        self._watching_since = None
        self.next_ns = max(expected_ns - self._early_ns, now_ns + CLOSE_NS)


class SearchPace:
    """Read a counter of unknown rhythm at every border and once a second, and look for a rhythm.

    After a border it is read closely until it has moved three times: these are the updates around
    the border, and where they are evenly apart, that is its rhythm.

    Args:
        now_ns: When it was read last.
    """

    read_on_ns = SEARCH_NS

    def __init__(self, now_ns: int) -> None:
        self.next_ns = now_ns + RHYTHM_PERIOD_NS
        self._since_ns: int | None = None
        self._shown_ns = 0
        self._moves: list[tuple[int, int]] = []

    @property
    def is_watching(self) -> bool:
        """Whether it is read closely just now."""
        return self._since_ns is not None

    @property
    def is_settled(self) -> bool:
        """Whether it moved after the last border."""
        return self._since_ns is None or bool(self._moves)

    @property
    def rhythm(self) -> CounterPace | None:
        """The pace for the rhythm that the last border showed, if it did."""
        if len(self._moves) < UPDATES_AFTER_BORDER:
            return None
        (first_a, first_b), (middle_a, middle_b), (last_a, last_b) = self._moves[-3:]
        # The two gaps have this much in common.
        least_ns = max(middle_a - first_b, last_a - middle_b, (last_a - first_b) // 2)
        most_ns = min(middle_b - first_a, last_b - middle_a, (last_b - first_a) // 2)
        if not 0 < least_ns <= most_ns or most_ns - least_ns > least_ns // 4:
            return None
        return CounterPace((least_ns + most_ns) // 2, (last_a + last_b) // 2)

    def border(self, now_ns: int) -> None:
        """Note a border: the counter is read at once, and closely for a while."""
        self.next_ns = self._since_ns = now_ns
        self._shown_ns = 0
        self._moves = []

    def read(self, began_ns: int, ended_ns: int, *, moved: bool) -> None:
        """Note a reading; `moved` if it showed a new value."""
        shown_ns, self._shown_ns = self._shown_ns, began_ns
        if self._since_ns is None:
            self.next_ns = ended_ns + RHYTHM_PERIOD_NS
            return
        if moved and shown_ns:
            self._moves.append((shown_ns, ended_ns))
        watched_ns = began_ns - self._since_ns
        if len(self._moves) == UPDATES_AFTER_BORDER or watched_ns > SEARCH_NS:
            self._since_ns = None
            self.next_ns = ended_ns + RHYTHM_PERIOD_NS
        else:
            apart_ns = CLOSE_NS if watched_ns < SEARCH_CLOSE_NS else LOOSE_NS
            self.next_ns = max(began_ns + apart_ns, ended_ns + _AT_ONCE_NS)


Pace = EvenPace | CounterPace | SearchPace
