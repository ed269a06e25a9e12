"""What concurrency means for an estimate: machines whose counters were read, and ratios."""

from __future__ import annotations

import math

import pytest

from harness.energy.cpu_time import ratio_doubt
from harness.energy.sensors.estimate import MODEL_UNCERTAINTY

PER_THREAD_W = {
    ("EPYC 8024P", 90 / 16): {1: 16.3, 3: 12.5, 6: 7.2, 8: 5.8, 16: 2.9},
    ("Threadripper 1950X", 180 / 32): {3: 11.3, 32: 5.1},
    ("2 x E5-2620", 2 * 95 / 24): {2: 7.6, 24: 3.3},
    ("E3-1240", 80 / 8): {1: 5.5, 2: 10.5, 8: 5.9},
}
"""Name and design power a thread, then watts a busy thread above idle, by busy threads."""


@pytest.mark.parametrize(("machine", "watts"), PER_THREAD_W.items(), ids=str)
def test_the_stated_uncertainties_hold_what_machines_were_seen_to_draw(machine, watts) -> None:
    _, stated_w = machine
    for true_w in watts.values():
        assert abs(true_w - stated_w) <= MODEL_UNCERTAINTY * stated_w
    for a, power_a in watts.items():
        for b, power_b in watts.items():
            # The same constant for both: so wrong is the ratio of two estimates.
            assert max(power_a, power_b) / min(power_a, power_b) <= (1 + ratio_doubt(a, b)) * 1.02


def test_equal_threads_cancel_and_less_than_one_is_one_that_waits() -> None:
    assert ratio_doubt(2.0, 2.0) == 0
    assert ratio_doubt(0.3, 0.9) == 0
    assert ratio_doubt(1.0, 4.0) == ratio_doubt(4.0, 1.0) > 1
    assert math.isnan(ratio_doubt(math.nan, 1.0))
    assert math.isnan(ratio_doubt(0.0, 1.0))
