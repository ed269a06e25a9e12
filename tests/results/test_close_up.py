"""A run seen closely shows what was drawn: traces of known power, journals written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy.sensors.base import Sensor
from harness.pruning.channel_mask import ChannelMask
from harness.results.folder import RunFolder
from harness.results.masks import mask_distances
from harness.results.run_detail import BINS, GAP, POWER, STATES, WINDOWS, CloseUp, close_up
from harness.results.run_energy import Ledger
from tests.energy.traces import encode, header, sensor

SECOND = 1_000_000_000
FRESH = sensor("energy", device="GPU-0")
SAMPLED = sensor("power", "sampled", device="GPU-0", ceiling_w=700.0)


@dataclass(frozen=True)
class Part:
    """An attempt: when it began on its own clock, its windows, how long it lasted."""

    begins_s: float
    windows: Sequence[tuple[float, str]]
    length_s: float
    restored: int = 0
    status: str = "done"
    checkpoint_s: float | None = None
    masks: Sequence[ChannelMask] = ()


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def write(folder: Path, *parts: Part) -> RunFolder:
    """A run's journal."""
    folder.mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = []
    for number, part in enumerate(parts, 1):

        def event(name: str, at_s: float, begins_s: float = part.begins_s, **more: Any) -> None:
            events.append({"event": name, "time_ns": ns(begins_s + at_s), **more})

        first = len(events)
        event("attempt", 0, number=number, restored=part.restored)
        for at_s, label in part.windows:
            event("border", at_s, window=label)
        if part.checkpoint_s is not None:
            event("checkpoint", part.checkpoint_s, number=1, phase=0, epoch=1)
        for order, mask in enumerate(part.masks):
            at_s = part.length_s * order / len(part.masks)
            event("epoch", at_s, epochs_trained=order + 1, val_score=0.5, window="search")
            answer = {"channel_mask": dict(mask.layers)}
            event("answer", at_s, phase=order, description={"question": "which"}, answer=answer)
        if part.status:
            event("end", part.length_s, status=part.status)
        events[first:] = sorted(events[first:], key=lambda each: each["time_ns"])
    run = RunFolder(folder)
    run.journal.write_bytes(encode(events))
    return run


def record(
    run: RunFolder,
    attempt: int,
    sensors: Sequence[Sensor],
    readings: Sequence[Sequence[tuple[float, float | None]]],
    events: Sequence[dict[str, Any]] = (),
) -> None:
    """A trace: for each sensor its moments in seconds and values, None where it failed."""
    lines = [
        [number, ns(at_s), value, *([] if value is not None else ["lost"])]
        for number, own in enumerate(readings)
        for at_s, value in own
    ]
    lines.sort(key=lambda line: line[1])
    run.trace(attempt).write_bytes(encode([header(sensors), *lines, *events]))


def every(step_s: float, start_s: float, end_s: float) -> list[float]:
    return (start_s + step_s * np.arange(round((end_s - start_s) / step_s) + 1)).tolist()


def counting(power_w: Callable[[float], float], times_s: Sequence[float]) -> list[Any]:
    """What a counter that is always fresh shows, if power is constant between two readings."""
    steps = [power_w((a + b) / 2) * (b - a) for a, b in pairwise(times_s)]
    return list(zip(times_s, np.concatenate([[0.0], np.cumsum(steps)]).tolist(), strict=True))


def area_j(seen: CloseUp) -> float:
    power = seen.power
    return float(((power["end_s"] - power["start_s"]) * power["mean_w"]).sum())


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two attempts of 10 s, the first of which died without a checkpoint."""
    return write(
        tmp_path / "run",
        Part(1000.0, [(1.0, "train"), (9.0, "evaluation")], 10.0, status=""),
        Part(5.0, [(0.5, "train"), (8.0, "evaluation")], 10.0),
    )


def steps_w(at_s: float) -> float:
    """100 W, and 300 W from the fourth second on."""
    return 100.0 if at_s % 1000 < 4 else 300.0


def test_each_bin_shows_the_power_that_was_drawn(run: RunFolder) -> None:
    record(run, 1, [FRESH], [counting(steps_w, every(0.05, 999, 1010))])
    record(run, 2, [FRESH], [counting(lambda _: 50.0, every(0.05, 4, 16))])
    seen = close_up(run, 7)
    first = seen.power[seen.power["end_s"] <= 10 + 1e-9]
    second = seen.power[seen.power["start_s"] >= 10 - 1e-9]
    assert len(first) + len(second) == len(seen.power)
    truth = [
        (100 * max(min(end, 4) - start, 0) + 300 * max(end - max(start, 4), 0)) / (end - start)
        for start, end in zip(first["start_s"], first["end_s"], strict=True)
    ]
    assert first["mean_w"].tolist() == pytest.approx(truth)
    assert second["mean_w"].tolist() == pytest.approx([50.0] * len(second))
    assert area_j(seen) == pytest.approx(100 * 4 + 300 * 6 + 50 * 10)
    assert seen.seed == 7
    assert set(seen.power["device"]) == {"GPU-0"}
    # The band of a counter alone has no width, whatever the bin.
    assert (seen.power["low_w"] == seen.power["mean_w"]).all()
    assert (seen.power["high_w"] == seen.power["mean_w"]).all()


def test_time_goes_on_from_attempt_to_attempt_and_lost_work_is_called_so(run: RunFolder) -> None:
    record(run, 1, [FRESH], [counting(steps_w, every(0.05, 999, 1010))])
    record(run, 2, [FRESH], [counting(steps_w, every(0.05, 4, 16))])
    windows = close_up(run, 0).windows
    assert windows["attempt"].tolist() == [1, 1, 1, 2, 2, 2]
    assert windows["phase"].tolist() == ["lost"] * 3 + ["overhead", "train", "evaluation"]
    assert windows["start_s"].tolist() == pytest.approx([0, 1, 9, 10, 10.5, 18])
    assert windows["end_s"].tolist() == pytest.approx([1, 9, 10, 10.5, 18, 20])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    powers=st.lists(st.floats(0, 1000), min_size=2, max_size=12),
    windows=st.lists(st.floats(0.01, 9.9), max_size=6),
    period_s=st.sampled_from([0.02, 0.1, 0.5, 3.0]),
    update_s=st.sampled_from([0.0, 0.1]),
)
def test_the_area_under_the_mean_is_the_energy(
    powers: list[float],
    windows: list[float],
    period_s: float,
    update_s: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    labelled = [(at_s, f"level {n}") for n, at_s in enumerate(sorted(windows))]
    run = write(tmp_path_factory.mktemp("run"), Part(100.0, labelled, 10.0))

    def power_w(at_s: float) -> float:
        return powers[int(at_s * 1.7) % len(powers)]

    times_s = every(period_s, 97.0, 113.0)
    counter = sensor("energy", device="GPU-0", update_s=update_s)
    sampled = [(at_s, power_w(at_s)) for at_s in times_s]
    record(run, 1, [counter, SAMPLED], [counting(power_w, times_s), sampled])
    seen = close_up(run, 0)
    assert area_j(seen) == pytest.approx(Ledger(run).outer.energy_j, rel=1e-9, abs=1e-9)
    power = seen.power
    assert (power["low_w"] <= power["mean_w"]).all()
    assert (power["mean_w"] <= power["high_w"]).all()
    assert power["start_s"].tolist()[1:] == power["end_s"].tolist()[:-1]
    assert (power["start_s"].iloc[0], power["end_s"].iloc[-1]) == pytest.approx((0, 10))
    assert ((power["end_s"] - power["start_s"]) >= update_s - 1e-8).all()


def test_the_band_holds_the_extreme_readings_of_its_time(tmp_path: Path) -> None:
    """A sensor that shows the mean of the last second is half a second late."""
    late = sensor("power", "sampled", device="GPU-0", update_s=0.1, window_s=0.9)
    run = write(tmp_path, Part(100.0, [], 20.0))
    times_s = every(0.1, 95, 125)
    shown = [(at_s, 500.0 if 107.5 <= at_s - 0.5 < 108.0 else 100.0) for at_s in times_s]
    record(run, 1, [FRESH, late], [counting(lambda _: 100.0, times_s), shown])
    power = close_up(run, 0).power
    high = power[power["high_w"] > 400]
    assert high["start_s"].min() >= 7.5 - 0.31
    assert high["end_s"].max() <= 8.0 + 0.31
    assert set(high["high_w"]) == {500.0}
    assert power["mean_w"].tolist() == pytest.approx([100.0] * len(power))


@pytest.mark.parametrize("nonsense", [-50.0, 9_999_999.0])
def test_nonsense_is_in_no_band(nonsense: float, tmp_path: Path) -> None:
    run = write(tmp_path, Part(100.0, [], 20.0))
    times_s = every(0.1, 95, 125)
    shown = [(at_s, nonsense if at_s == times_s[150] else 100.0) for at_s in times_s]
    record(run, 1, [FRESH, SAMPLED], [counting(lambda _: 100.0, times_s), shown])
    power = close_up(run, 0).power
    assert power["low_w"].min() == pytest.approx(100.0)
    assert power["high_w"].max() == pytest.approx(100.0)


def test_time_that_nobody_observed_is_a_gap_and_its_energy_stays(tmp_path: Path) -> None:
    run = write(tmp_path, Part(100.0, [(3.0, "train")], 20.0))
    shown = [(at_s, None if 106 < at_s < 110 else 100.0) for at_s in every(0.1, 95, 125)]
    record(run, 1, [SAMPLED], [shown])
    seen = close_up(run, 0)
    gaps = seen.power[seen.power["coverage"] < GAP]
    assert gaps["start_s"].min() == pytest.approx(6.0, abs=0.4)
    assert gaps["end_s"].max() == pytest.approx(10.0, abs=0.4)
    assert len(gaps) == pytest.approx(len(seen.power) * 4 / 20, abs=2)
    assert area_j(seen) == pytest.approx(100.0 * 20)


def test_a_device_that_was_never_read_is_one_gap(tmp_path: Path) -> None:
    run = write(tmp_path, Part(100.0, [], 20.0))
    silent = sensor("energy", device="GPU-1")
    record(run, 1, [FRESH, silent], [counting(lambda _: 9.0, every(0.1, 95, 125)), []])
    power = close_up(run, 0).power
    assert dict(power.groupby("device")["coverage"].max()) == {"GPU-0": 1.0, "GPU-1": 0.0}
    assert area_j(close_up(run, 0)) == pytest.approx(9.0 * 20)


def test_states_are_reported_until_they_change_and_no_longer_than_the_recorder_lived(
    tmp_path: Path,
) -> None:
    run = write(tmp_path, Part(100.0, [], 20.0))
    events = [
        {"state": state, "device": "GPU-0", "time_ns": ns(at_s)}
        for at_s, state in (
            (90.0, {"temperature_c": 30}),
            (95.0, {"temperature_c": 40, "throttling": [], "sm_clock_mhz": 1}),
            (104.0, {"temperature_c": 40, "throttling": [], "sm_clock_mhz": 2}),
            (106.0, {"temperature_c": 71, "throttling": ["power cap"]}),
            (112.0, {"sm_clock_mhz": 3}),
        )
    ]
    record(run, 1, [FRESH], [counting(lambda _: 9.0, every(0.1, 95, 115))], events)
    states = close_up(run, 0).states
    assert states["start_s"].tolist() == pytest.approx([0, 6, 12])
    assert states["end_s"].tolist() == pytest.approx([6, 12, 15])
    assert states["temperature_c"].tolist()[:2] == [40, 71]
    assert states["throttled"].tolist()[:2] == [False, True]
    assert states.iloc[2][["temperature_c", "throttled"]].isna().all()


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 6), st.integers(0, 2**31))
def test_masks_are_as_far_apart_as_the_mask_says(looks: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    masks = [
        ChannelMask({"b": _bits(rng, 7), "a": _bits(rng, 12), "empty": ""}) for _ in range(looks)
    ]
    expected = [[one.distance(other) for other in masks] for one in masks]
    assert mask_distances(masks).tolist() == expected


def _bits(rng: np.random.Generator, channels: int) -> str:
    return "".join("01"[bit] for bit in rng.integers(0, 2, channels))


def test_masks_are_counted_by_the_epochs_before_them(tmp_path: Path) -> None:
    masks = [ChannelMask({"a": bits}) for bits in ("1100", "0110", "0110")]
    run = write(tmp_path, Part(100.0, [], 20.0, masks=masks))
    seen = close_up(run, 0)
    assert seen.mask_epochs.tolist() == [1, 2, 3]
    assert seen.mask_distances.tolist() == [[0, 0.5, 0.5], [0.5, 0, 0], [0.5, 0, 0]]


def test_a_run_without_any_trace_has_windows_alone(run: RunFolder) -> None:
    seen = close_up(run, 0)
    assert (len(seen.power), len(seen.states), len(seen.windows)) == (0, 0, 5)
    assert list(seen.power) == POWER
    assert list(seen.states) == STATES
    assert list(seen.windows) == WINDOWS
    assert seen.mask_distances.shape == (0, 0)


def test_an_attempt_that_died_at_once_takes_no_time(tmp_path: Path) -> None:
    run = write(tmp_path, Part(100.0, [], 0.0, status=""), Part(5.0, [], 10.0))
    record(run, 2, [FRESH], [counting(lambda _: 9.0, every(0.1, 4, 16))])
    seen = close_up(run, 0)
    assert area_j(seen) == pytest.approx(90.0)
    assert seen.windows["attempt"].tolist() == [2]


def test_an_hour_is_thinned(tmp_path: Path) -> None:
    """20 readings a second, 500 windows, a mask of VGG-16's channels in each of 160 epochs."""
    rng = np.random.default_rng(0)
    masks = [ChannelMask({str(n): _bits(rng, 325) for n in range(13)}) for _ in range(160)]
    windows = [(7.2 * n, ("train", "evaluation", "checkpoint")[n % 3]) for n in range(500)]
    run = write(tmp_path, Part(1000.0, windows, 3600.0, masks=masks))
    times_s = every(0.05, 995, 4605)
    power_w = 500 + 25 * np.sin(np.array(times_s))
    counter = sensor("energy", device="GPU-0", update_s=0.1)
    counted = np.concatenate([[0.0], np.cumsum(power_w[:-1] * 0.05)])
    lines: list[Any] = []
    for at_s, joules, watts in zip(times_s, counted.tolist(), power_w.tolist(), strict=True):
        lines += [[0, ns(at_s), joules], [1, ns(at_s), watts]]
    text = "\n".join(map(json.dumps, [header([counter, SAMPLED]), *lines]))
    run.trace(1).write_text(text + "\n")
    run.pack_traces()
    seen = close_up(run, 0)
    assert len(seen.power) == BINS
    assert len(seen.windows) == 500
    assert area_j(seen) == pytest.approx(Ledger(run).outer.energy_j)
