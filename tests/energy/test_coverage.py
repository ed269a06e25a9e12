"""Does the stated uncertainty hold the truth? A small part of `benchmarks/energy_coverage.py`.

And the same for sensors that fail in all ways at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from harness.energy.integration.curve import Joules
from tests.energy.scenarios import (
    LOCKED,
    MODELS,
    START_NS,
    WAVES,
    between,
    imperfect,
    machine,
    window,
)
from tests.energy.virtual import SECOND, gpu_meters, record

WINDOWS = 40
"""Of each sensor, each way: 200 with counters and 200 without.

Were only 93 % of all windows covered, the least that is aimed at, 200 of them would show fewer than
174 (87 %) with a chance of 0.2 % (binomial). None is too many: at 99.5 %, the most that is aimed
at, all 200 are covered with a chance of 37 %. So what is stated is bounded from above instead.
"""
LEAST = 174


@pytest.mark.parametrize("counter", [True, False])
def test_uncertainty_holds_the_truth_as_often_as_it_claims(library, tmp_path, counter) -> None:
    waves = sorted(WAVES if counter else set(WAVES) - set(LOCKED))
    drawn = [
        window(library, tmp_path, model, waves[n % len(waves)], 1000 * m + n, counter=counter)
        for m, model in enumerate(MODELS)
        for n in range(WINDOWS)
    ]
    assert sum(each.is_covered for each in drawn) >= LEAST
    assert sum(each.rest_is_covered for each in drawn) >= LEAST
    if counter:
        # 5 % gain, and what is not known of borders; 5.4 % on average over 1000 of each sensor.
        assert np.mean([d.joules.uncertainty_j / d.truth_j for d in drawn]) < 0.06
        assert max(abs(d.error) for d in drawn) < 0.1


def test_a_blind_sensor_s_uncertainty_holds_for_loads_of_any_frequency_but_its_own(
    library, tmp_path
) -> None:
    """60 windows of squares of any period: of 93 % fewer than 50 with a chance of 0.5 %."""
    drawn = [
        window(library, tmp_path, "a100", "any period", seed, counter=False) for seed in range(60)
    ]
    assert sum(each.rest_is_covered for each in drawn) >= 50
    assert np.median([each.rest_j / each.sensed_j for each in drawn]) < 0.15


def test_a_slow_counter_s_uncertainty_holds_the_truth(library, tmp_path) -> None:
    """45 windows: of 90 % fewer than 35 with a chance of 0.6 %."""
    waves = sorted(WAVES)
    model = "counter of 250 ms"
    drawn = [window(library, tmp_path, model, waves[n % len(waves)], n) for n in range(45)]
    assert sum(each.rest_is_covered for each in drawn) >= 35
    assert not any("stood still" in flag for each in drawn for flag in each.flags)


def test_what_a_blind_sensor_cannot_know_is_flagged(library, tmp_path) -> None:
    """A load in step with it looks like a steady one, and neither is what it seems."""
    flags, errors = set(), []
    for wave in ("steady", "locked"):
        drawn = window(library, tmp_path, "a100", wave, 3, counter=False)
        errors.append(abs(drawn.error))
        flags.add(drawn.flags)
    assert len(flags) == 1
    assert "in step" in flags.pop()[0]
    assert errors[0] < 0.01 < errors[1]


FAULTY_RUNS = 200
CODES = (1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 28, 999)
CALLS = (
    "",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetPowerUsage",
)


class Faulty(NamedTuple):
    """A run whose sensors failed: what was found, and what a perfect meter of its gain found."""

    joules: Joules
    sensed_j: float
    truth_j: float


def faulty(library, tmp_path, seed: int) -> Faulty:
    rng = np.random.default_rng(seed)
    model = MODELS[str(rng.choice(list(MODELS)))]
    with machine(library, tmp_path, **model) as stand_in:
        (gpu,) = stand_in.gpus
        imperfect(rng, gpu)
        meters = gpu_meters()
        begin_ns = START_NS + 5 * SECOND
        borders = [begin_ns]
        for _ in range(rng.integers(1, 6)):
            gpu.draw(rng.uniform(100, 600), borders[-1])
            borders.append(borders[-1] + round(rng.uniform(0.5, 6) * SECOND))
        gpu.draw(80, borders[-1])
        end_ns = borders[-1]
        for _ in range(rng.integers(1, 4)):
            at_ns = int(rng.integers(begin_ns, end_ns))
            kind = rng.choice(["code", "code", "reset", "frozen", "absurd", "lost"])
            if kind == "code":
                until_ns = at_ns + round(rng.uniform(0.05, 4) * SECOND)
                call = str(rng.choice(CALLS))
                stand_in.fault(int(rng.choice(CODES)), call, from_ns=at_ns, until_ns=until_ns)
            elif kind == "reset":
                gpu.reset_ns = at_ns
            elif kind == "frozen":
                gpu.frozen_ns = at_ns
            elif kind == "absurd":
                gpu.absurd_w = rng.choice([-5.0, 10_000.0])
            else:
                stand_in.fault(15, from_ns=at_ns)
        trace, _ = record(stand_in, meters, borders)
        joules = between(trace, borders, begin_ns, end_ns)
        truth_j = gpu.truth_j(begin_ns, end_ns)
        return Faulty(joules, truth_j * gpu.gain, truth_j)


def test_whatever_fails_the_truth_is_held_and_coverage_shows_it(library, tmp_path) -> None:
    runs = [faulty(library, tmp_path, seed) for seed in range(FAULTY_RUNS)]
    for run in runs:
        assert run.joules.energy_j >= 0
        assert 0 <= run.joules.coverage <= 1
        assert np.isfinite(run.joules.uncertainty_j)
    held = [abs(run.joules.energy_j - run.truth_j) <= run.joules.uncertainty_j for run in runs]
    assert np.mean(held) >= 0.93
    whole = [run for run in runs if run.joules.coverage > 1 - 1e-9]
    assert len(whole) >= 30
    off_j = np.array([abs(run.joules.energy_j - run.sensed_j) for run in whole])
    rest_j = [np.sqrt(run.joules.uncertainty_j**2 - run.joules.gain_j**2) for run in whole]
    small_j = np.array([0.01 * run.sensed_j for run in whole])
    assert np.mean(off_j < small_j) >= 0.9
    assert (off_j < np.maximum(small_j, 1.5 * np.array(rest_j))).all()
