"""How an update of a counter is split at the edges that fall into it, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.integration.window_edges import CounterUpdates, energies_at
from harness.energy.integration.windows import EnergyCurve
from tests.energy.traces import SECOND, counted, sensor
from tests.fakes.known_power import KnownPower

UPDATES_S = np.arange(0, 2.05, 0.1)


def load(*steps: tuple[float, float]) -> KnownPower:
    """80 W, and from each moment (s) on another power (W)."""
    power = KnownPower(80)
    for at_s, power_w in steps:
        power.draw(power_w, round(at_s * SECOND))
    return power


def true_j(power: KnownPower, moment_s: float) -> float:
    return power.truth_j(0, round(moment_s * SECOND))


def updates(power: KnownPower, half_s: float = 0.001) -> CounterUpdates:
    energy_j = np.array([true_j(power, moment) for moment in UPDATES_S])
    return CounterUpdates(UPDATES_S, energy_j, np.full(len(UPDATES_S), half_s), 2.05)


def test_update_is_split_by_the_power_on_either_side() -> None:
    """80 W for 30 of its 100 ms, 600 W for the rest: in proportion to time 11 J were wrong."""
    power = load((1.03, 600))
    (found,), (variance,) = energies_at(np.array([1.03]), updates(power))
    linear = np.interp(1.03, UPDATES_S, updates(power).energy_j)
    assert found == pytest.approx(80 * 1.03, abs=0.01)
    assert linear - found > 10
    assert variance < 1


@pytest.mark.parametrize("edge_s", [0.51, 0.55, 0.599, 0.6, 0.6001])
def test_split_is_right_wherever_in_an_update_the_edge_falls(edge_s) -> None:
    power = load((edge_s, 600))
    (found,), _ = energies_at(np.array([edge_s]), updates(power))
    assert found == pytest.approx(true_j(power, edge_s), abs=0.01)


def test_an_edge_right_before_a_reading_gets_what_it_showed() -> None:
    """CPU time, read just after each of two edges that lie 12 ms apart, and nowhere between."""
    time_s = np.array([0.9, 1.00005, 1.01215, 1.1])
    energy_j = np.array([18.0, 18.5, 18.62, 19.0])
    read = CounterUpdates(time_s, energy_j, np.zeros(4), 1.1)
    edges_s = np.array([1.0, 1.0121, 1.013])
    found, variance = energies_at(edges_s, read)
    assert found[1] - found[0] == pytest.approx(0.12, abs=0.002)
    assert np.sqrt(variance[:2]).max() < 0.002


def test_two_edges_in_one_update() -> None:
    """The middle has no update of its own: what the sides leave over is its."""
    power = load((1.02, 600), (1.07, 200))
    found, _ = energies_at(np.array([1.02, 1.07]), updates(power))
    assert found[0] == pytest.approx(true_j(power, 1.02), abs=0.01)
    assert found[1] == pytest.approx(true_j(power, 1.07), abs=0.01)


@pytest.mark.parametrize("middle_w", [80.0, 300.0, 900.0])
def test_three_edges_in_one_update_stay_honest(middle_w) -> None:
    """What is between the middle two is unknown, and reported so."""
    power = load((1.02, middle_w), (1.05, 600), (1.08, 200))
    edges = np.array([1.02, 1.05, 1.08])
    found, variance = energies_at(edges, updates(power))
    true = [true_j(power, edge) for edge in edges]
    assert (np.abs(found - true) <= 1.96 * np.sqrt(variance) + 0.01).all()
    assert variance[1] > 100 * variance[0]
    assert (np.diff(found) >= 0).all()


def test_edge_on_a_certain_knot_is_certain() -> None:
    power = load((1.0, 600))
    found, variance = energies_at(UPDATES_S[[10]], updates(power, half_s=0))
    assert found[0] == pytest.approx(80)
    assert variance[0] == 0


def test_after_the_last_update_nothing_is_known_but_the_mean() -> None:
    """Two edges, and then no update: its power may be anything, but is not infinite."""
    found, variance = energies_at(np.array([2.02, 2.04]), updates(load()))
    assert found.tolist() == pytest.approx([2.02 * 80, 2.04 * 80], rel=0.001)
    assert np.isfinite(variance).all()
    assert variance[1] > variance[0]


def test_sides_that_disagree_are_uncertain() -> None:
    """The load changed 60 ms after the edge that was announced."""
    late, exact = load((1.06, 600)), load((1.0, 600))
    edge = np.array([0.98])
    (found,), (variance,) = energies_at(edge, updates(late))
    _, (sure,) = energies_at(np.array([1.0]), updates(exact))
    assert abs(found - true_j(late, 0.98)) <= 1.96 * np.sqrt(variance)
    assert variance > 10 * sure


COUNTER = sensor(update_s=0.1, resolution_j=0.001)


def curve(power: KnownPower, *edges_s: float) -> EnergyCurve:
    readings = counted(power, np.arange(0.131, 3, 0.002).tolist(), COUNTER)
    return EnergyCurve(readings, None, [round(edge * SECOND) for edge in edges_s])


@pytest.mark.parametrize(
    ("window", "coverage"), [((-1, 1.03), 0.46), ((1.03, 5), 0.49), ((4, 5), 0), ((-2, -1), 0)]
)
def test_edge_outside_of_the_readings_is_not_covered(window, coverage) -> None:
    found = curve(load((1.03, 600)), *window).between(*(round(b * SECOND) for b in window))
    assert found.coverage == pytest.approx(coverage, abs=0.03)
    assert np.isfinite(found.uncertainty_j)


def test_window_within_a_window() -> None:
    power = load((0.52, 300), (1.03, 600), (1.44, 300), (2.05, 80))
    outer, inner = (0.52, 2.05), (1.03, 1.44)
    known = curve(power, *outer, *inner)
    for start_s, end_s in (outer, inner):
        found = known.between(round(start_s * SECOND), round(end_s * SECOND))
        true = power.truth_j(round(start_s * SECOND), round(end_s * SECOND))
        assert found.energy_j == pytest.approx(true, rel=0.005)
        assert abs(found.energy_j - true) <= found.border_j
