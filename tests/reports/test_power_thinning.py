"""Bins, bands and states of a run as finely as print shows them: nothing is lost or made up."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.results.run_detail import STATES
from reports.figures.power_time import power
from reports.plotting.phase_colours import gathered
from reports.statistics.power import bands, conditions, short_name, thinned, total

if TYPE_CHECKING:
    from collections.abc import Sequence


def bins(start_s: Sequence[float], end_s: Sequence[float], mean_w: Sequence[float]) -> pd.DataFrame:
    mean = np.array(mean_w, dtype=float)
    columns = {"device": "GPU-0", "start_s": start_s, "end_s": end_s, "mean_w": mean}
    return pd.DataFrame({**columns, "low_w": mean - 1, "high_w": mean + 2, "coverage": 1.0})


def energy_j(power_w: pd.DataFrame) -> float:
    return float((power_w["mean_w"] * (power_w["end_s"] - power_w["start_s"])).sum())


binnings = st.lists(
    st.tuples(st.floats(0.01, 5), st.floats(0, 1000), st.booleans()), min_size=1, max_size=40
)


@st.composite
def powers(draw: st.DrawFn) -> pd.DataFrame:
    """Bins of one device, with holes where it took no part."""
    found = draw(binnings)
    edges = np.concatenate([[0.0], np.cumsum([length for length, _, _ in found])])
    kept = [n for n, (_, _, there) in enumerate(found) if there or n == 0]
    return bins(edges[kept], edges[np.array(kept) + 1], [found[n][1] for n in kept])


@settings(derandomize=True, deadline=None)
@given(powers(), st.floats(0.02, 20))
def test_thinned_bins_keep_their_area_extremes_and_holes(
    full: pd.DataFrame, width_s: float
) -> None:
    thin = thinned(full, width_s)
    assert energy_j(thin) == pytest.approx(energy_j(full), rel=1e-9, abs=1e-9)
    assert thin["low_w"].min() == full["low_w"].min()
    assert thin["high_w"].max() == full["high_w"].max()
    assert len(thin) <= len(full)
    covered = (thin["end_s"] - thin["start_s"]).sum()
    assert covered == pytest.approx((full["end_s"] - full["start_s"]).sum())
    assert thin["coverage"].tolist() == pytest.approx([1.0] * len(thin))


def test_as_many_bins_as_the_axis_has_pieces() -> None:
    edges = np.linspace(0, 100, 1001)
    assert len(thinned(bins(edges[:-1], edges[1:], np.ones(1000)), 0.25)) == pytest.approx(
        400, abs=1
    )


@settings(derandomize=True, deadline=None)
@given(st.lists(powers(), min_size=1, max_size=4))
def test_the_sum_of_devices_has_the_sum_of_their_energies(parts: list[pd.DataFrame]) -> None:
    every = pd.concat(
        [part.assign(device=str(n), coverage=1 / (n + 1)) for n, part in enumerate(parts)]
    )
    summed = total(every)
    assert energy_j(summed) == pytest.approx(sum(map(energy_j, parts)), rel=1e-9, abs=1e-6)
    assert summed["coverage"].min() == pytest.approx(1 / len(parts))
    assert (summed["end_s"] > summed["start_s"]).all()
    assert (summed["start_s"].to_numpy()[1:] >= summed["end_s"].to_numpy()[:-1]).all()


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(1e-4, 3)), min_size=1, max_size=200),
    st.floats(0.01, 3),
)
def test_bands_tile_the_run_and_no_label_is_invented(
    found: list[tuple[str, float]], width_s: float
) -> None:
    windows = phases_of(found)
    tiled = bands(windows, width_s, str)
    assert tiled["start_s"].iloc[0] == 0
    assert tiled["end_s"].iloc[-1] == pytest.approx(windows["end_s"].iloc[-1])
    assert tiled["start_s"].tolist()[1:] == tiled["end_s"].tolist()[:-1]
    assert all(a != b for a, b in pairwise(tiled["phase"]))
    assert set(tiled["phase"]) <= set(windows["phase"])
    for label, length in found:
        if length > 2 * width_s:
            assert label in set(tiled["phase"])


def test_short_windows_leave_neither_noise_nor_holes() -> None:
    """A hundred epochs of 1 s, each with 0.1 s of evaluation, then 20 s of testing."""
    rows_of = [
        row for n in range(100) for row in (("train", n, n + 0.9), ("evaluation", n + 0.9, n + 1))
    ]
    windows = pd.DataFrame([*rows_of, ("test", 100, 120)], columns=["phase", "start_s", "end_s"])
    tiled = bands(windows.assign(attempt=1), 0.5, gathered)
    assert tiled["phase"].tolist() == ["train", "test"]
    assert tiled["end_s"].tolist() == pytest.approx([100, 120])
    fine = bands(windows.assign(attempt=1), 0.02, gathered)
    assert len(fine) == 201


def phases_of(lengths: Sequence[tuple[str, float]]) -> pd.DataFrame:
    """Windows that follow each other."""
    ends = np.cumsum([length for _, length in lengths])
    return pd.DataFrame(
        {
            "attempt": 1,
            "phase": [label for label, _ in lengths],
            "start_s": np.concatenate([[0.0], ends[:-1]]),
            "end_s": ends,
        }
    )


def test_a_label_goes_on_through_pieces_that_belong_to_no_other() -> None:
    """In pieces of 1 s: "b" has the most of the second, but not the half; "c" never has that."""
    crowded = phases_of([("a", 1.35), ("b", 0.4), ("c", 0.25), ("a", 1.0)])
    assert bands(crowded, 1.0, str)["phase"].tolist() == ["a"]
    gone = phases_of([("a", 1.0), ("b", 0.4), ("c", 0.35), ("d", 0.25), ("d", 1.0)])
    assert bands(gone, 1.0, str)["phase"].tolist() == ["a", "b", "d"]


def test_the_warmest_device_counts_and_one_throttled_is_enough() -> None:
    states = pd.DataFrame(
        [
            ("a", 0.0, 4.0, 40, False),
            ("a", 4.0, 10.0, 60, None),
            ("b", 0.0, 6.0, 50, False),
            ("b", 6.0, 8.0, None, True),
            ("a", 20.0, 30.0, None, None),
        ],
        columns=STATES,
    )
    found = conditions(states, 0.1)
    assert found["start_s"].tolist() == [0, 4, 6, 8, 10]
    assert found["end_s"].tolist() == [4, 6, 8, 10, 30]
    assert found["temperature_c"].tolist()[:4] == [50, 60, 60, 60]
    assert found["throttled"].tolist()[:3] == [0, 0, 1]
    assert found["throttled"][3:].isna().all()
    assert np.isnan(found["temperature_c"].iloc[-1])


@pytest.mark.parametrize(
    ("watts", "text"),
    [(0.0, "0 mW"), (0.25, "250 mW"), (9.5, "9.50 W"), (4000, "4000 W"), (2.5e4, "25.0 kW")],
)
def test_power_has_a_unit_that_fits(watts: float, text: str) -> None:
    assert power(watts) == text


def test_of_a_uuid_eight_digits_are_enough() -> None:
    assert short_name("GPU-5a0d3f2c-1b2c-4d5e-8f90-0123456789ab") == "GPU-5a0d3f2c"
    assert short_name("cpu:a-host-12345678") == "cpu:a-host-12345678"
