"""When a sensor is read next. Pure: told of moments, borders, updates; it looks at no clock.

Power is polled evenly. An energy counter is read seldom, since on some boards reading falsifies
it, and closely only where one of its updates is expected: once a second, to keep their rhythm
known, and three times after every border that the run announces, so that the updates around
the border are known to about 2 ms.
"""

from __future__ import annotations

CLOSE_NS = 2_000_000
"""Time between two readings of a counter while an update of it is expected."""
SELDOM_NS = 1_000_000_000
"""Time between two looks at a counter's rhythm."""
UPDATES_AFTER_BORDER = 3
"""The one that the border falls in, and two whole ones that tell the power after it."""
_EARLY_NS = 4_000_000
_TELLING_STEPS = 5
"""Over so many updates the time between two is told to half a percent, though each is blurred."""
_DRIFT = 0.03
"""A rhythm that seems to have changed by a larger share than this has jumped in phase instead."""


class EvenPace:
    """Read every `period_ns`, and once at every border if `at_borders`."""

    def __init__(self, period_ns: int, *, at_borders: bool = False) -> None:
        self._period_ns = period_ns
        self._at_borders = at_borders
        self.next_ns = 0

    def border(self, now_ns: int) -> None:
        """A border was announced."""
        if self._at_borders:
            self.next_ns = now_ns

    def read(self, now_ns: int, *, moved: bool) -> None:
        """The sensor was read; `moved` if it showed something new."""
        del moved
        late = now_ns - self.next_ns
        # Keep the beat, but never try to catch up with what was missed.
        self.next_ns = now_ns + self._period_ns - (late if late < self._period_ns else 0)


class CounterPace:
    """Catch a counter's updates one second apart, and those around borders.

    Args:
        update_ns: Time between two updates.
        last_update_ns: When one was seen.
    """

    def __init__(self, update_ns: int, last_update_ns: int) -> None:
        self._update_ns = update_ns
        self._expected_ns = last_update_ns + update_ns
        self._early_ns = _EARLY_NS
        self._wanted = UPDATES_AFTER_BORDER
        self._watching_since: int | None = None
        self._seen_ns: int | None = None
        self.next_ns = self._expected_ns - self._early_ns

    def border(self, now_ns: int) -> None:
        """A border was announced: the counter is read at once, and closely around what follows."""
        self._wanted = UPDATES_AFTER_BORDER
        if self._watching_since is None:
            # An update that should just have happened may still be to come: it is watched for, too.
            ahead = -(-(now_ns - _EARLY_NS - self._expected_ns) // self._update_ns)
            self._expected_ns += ahead * self._update_ns
        self.next_ns = now_ns

    def read(self, now_ns: int, *, moved: bool) -> None:
        """The counter was read; `moved` if it showed something new since the last reading."""
        early_ns = self._expected_ns - self._early_ns
        if self._watching_since is None:
            # What moved since the last watch moved at some time or other.
            self._watching_since = now_ns if now_ns >= early_ns else None
            self.next_ns = max(now_ns + CLOSE_NS, early_ns)
        elif moved:
            self._seen(now_ns)
        elif self._watching_since > self._expected_ns and now_ns > self._expected_ns + _EARLY_NS:
            self._go_on(self._expected_ns + self._update_ns)  # it had come before the border
            self.next_ns = max(self.next_ns, now_ns + CLOSE_NS)
        elif now_ns - self._watching_since > 2 * self._update_ns:
            self._lost(now_ns)
        else:
            self.next_ns = now_ns + CLOSE_NS

    def _seen(self, now_ns: int) -> None:
        missed = abs(now_ns - self._expected_ns) > self._early_ns
        most = self._update_ns // 2
        self._early_ns = min(2 * self._early_ns, most) if missed else min(_EARLY_NS, most)
        self._learn(now_ns)
        self._wanted = max(self._wanted - 1, 0)
        steps = 1 if self._wanted else max(SELDOM_NS // self._update_ns, 1)
        self._go_on(now_ns + steps * self._update_ns)

    def _learn(self, now_ns: int) -> None:
        """Correct the time between two updates: read for half a second, it was known roughly."""
        if self._seen_ns is not None:
            steps = round((now_ns - self._seen_ns) / self._update_ns)
            if steps >= _TELLING_STEPS:
                found_ns = round((now_ns - self._seen_ns) / steps)
                if abs(found_ns - self._update_ns) < _DRIFT * self._update_ns:
                    self._update_ns = found_ns
        self._seen_ns = now_ns

    def _lost(self, now_ns: int) -> None:
        """It stands still: look again later."""
        self._wanted = 0
        self._go_on(now_ns + SELDOM_NS)

    def _go_on(self, expected_ns: int) -> None:
        self._expected_ns = expected_ns
        self._watching_since = None
        self.next_ns = expected_ns - self._early_ns


Pace = EvenPace | CounterPace
