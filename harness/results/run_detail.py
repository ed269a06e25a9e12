"""One run in detail: its power over time, its devices' states, and distances of its masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.counter import max_power_w
from harness.energy.integration.windows import EnergyCurve, curves, power_of
from harness.energy.trace import Readings, Trace
from harness.results.folder import RunFolder
from harness.results.masks import looks, mask_distances
from harness.results.run_energy import Ledger, attempt_trace

if TYPE_CHECKING:
    import pandas as pd

BINS = 1000
"""A figure cannot show more; a trace may hold millions of readings."""
READINGS_A_BIN = 3
"""Narrower bins would show the sensor's steps as steps of the load."""
GAP = 0.5
"""A bin that was observed for less than this share of its time is a gap."""

POWER = ["device", "start_s", "end_s", "low_w", "mean_w", "high_w", "coverage"]
WINDOWS = ["attempt", "phase", "start_s", "end_s"]
STATES = ["device", "start_s", "end_s", "temperature_c", "throttled"]


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A run's details. Times are seconds worked since its start, attempts end to end.

    Attributes:
        seed: Which run of its arm.
        power: Columns `device`, `start_s`, `end_s`, `low_w`, `mean_w`, `high_w`, `coverage`: at
            most 1,000 bins per device and attempt. The area under `mean_w` is the run's energy;
            `low_w` and `high_w` are the extreme readings of power in the bin, or `mean_w` where it
            is beyond them or there are none; a bin with a `coverage` below `GAP` was not
            observed.
        windows: Columns `attempt`, `phase`, `start_s`, `end_s`: the energy windows; they tile it.
        states: Columns `device`, `start_s`, `end_s`, `temperature_c`, `throttled`: one row for as
            long as both stay the same; missing values where a device does not report them.
        mask_epochs: Epochs trained at each look at a channel mask, shape (looks,).
        mask_distances: Between any two of them, 0 to 1, shape (looks, looks).
    """

    seed: int
    power: pd.DataFrame
    windows: pd.DataFrame
    states: pd.DataFrame
    mask_epochs: NDArray[np.int64]
    mask_distances: NDArray[np.float64]


def close_up(folder: RunFolder, seed: int) -> CloseUp:
    """Read one run's records in detail, for figures that show it alone."""
    import pandas as pd

    ledger = Ledger(folder)
    power: list[dict[str, Any]] = []
    windows: list[dict[str, Any]] = []
    states: list[dict[str, Any]] = []
    offset_s = 0.0
    for attempt in ledger.journal.attempts:
        trace = attempt_trace(folder, attempt)
        clock = _Clock(attempt.start_ns, ledger.end_ns(attempt), offset_s)
        entries = [each for each in ledger.entries if each.window.attempt == attempt.number]
        borders_ns = {clock.start_ns, clock.end_ns, *(each.window.start_ns for each in entries)}
        if clock.end_ns > clock.start_ns:
            for curve in curves(trace, borders_ns):
                power += _bins(curve, trace, clock)
        windows += [
            {
                "attempt": attempt.number,
                "phase": entry.label,
                "start_s": clock.seconds(entry.window.start_ns),
                "end_s": clock.seconds(entry.window.end_ns),
            }
            for entry in entries
        ]
        states += _states(trace, clock)
        offset_s = clock.seconds(clock.end_ns)
    found = looks(ledger.journal)
    return CloseUp(
        seed=seed,
        power=pd.DataFrame(power, columns=POWER),
        windows=pd.DataFrame(windows, columns=WINDOWS),
        states=pd.DataFrame(states, columns=STATES),
        mask_epochs=np.array([look.epochs_trained for look in found], dtype=np.int64),
        mask_distances=mask_distances([look.mask for look in found]),
    )


@dataclass(frozen=True)
class _Clock:
    """From an attempt's monotonic clock to seconds worked on the run."""

    start_ns: int
    end_ns: int
    offset_s: float

    def seconds(self, time_ns: float) -> float:
        return self.offset_s + (time_ns - self.start_ns) * 1e-9


def _bins(curve: EnergyCurve, trace: Trace, clock: _Clock) -> list[dict[str, Any]]:
    """The power of one device in bins; their energies add up to that of the attempt."""
    readings = power_of(trace, curve.sensor.device)
    seen_ns, seen_w = np.empty(0, dtype=np.int64), np.empty(0)
    if readings is not None:
        seen_ns, seen_w = _seen(readings)
    own = next(each for each in trace.readings if each.sensor == curve.sensor)
    update_s = max(each.sensor.update_s for each in (own, readings) if each is not None)
    edges_ns = _edges_ns((readings or own).time_ns, update_s, clock)
    firsts = np.searchsorted(seen_ns, edges_ns).tolist()
    edges = edges_ns.tolist()
    rows = []
    for number, drawn in enumerate(curve.windows(edges[:-1], edges[1:])):
        start_ns, end_ns = edges[number : number + 2]
        mean_w = drawn.energy_j / ((end_ns - start_ns) * 1e-9)
        seen = seen_w[firsts[number] : firsts[number + 1]]
        rows.append(
            {
                "device": curve.sensor.device,
                "start_s": clock.seconds(start_ns),
                "end_s": clock.seconds(end_ns),
                "low_w": float(seen.min(initial=mean_w)),
                "mean_w": mean_w,
                "high_w": float(seen.max(initial=mean_w)),
                "coverage": drawn.coverage,
            }
        )
    return rows


def _edges_ns(time_ns: NDArray[np.int64], update_s: float, clock: _Clock) -> NDArray[np.int64]:
    """The edges of the bins, each wide enough for some readings, and for an update of them."""
    length_ns = clock.end_ns - clock.start_ns
    inside = int(((time_ns >= clock.start_ns) & (time_ns <= clock.end_ns)).sum())
    updates = int(length_ns * 1e-9 / update_s) if update_s else length_ns
    count = max(min(BINS, inside // READINGS_A_BIN, updates), 1)
    return clock.start_ns + np.arange(count + 1) * length_ns // count


def _seen(readings: Readings) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Moments and power of plausible readings, corrected for the sensor's delay."""
    sensor = readings.sensor
    most_w = max_power_w(sensor)
    good = (readings.value >= 0) & (readings.value <= most_w)
    late_ns = round((sensor.update_s + sensor.window_s) / 2 * 1e9)
    return readings.time_ns[good] - late_ns, readings.value[good]


def _states(trace: Trace, clock: _Clock) -> list[dict[str, Any]]:
    """States of devices during the attempt, one row for as long as each stays the same."""
    events = [each for each in trace.events if "state" in each and "time_ns" in each]
    # After a recorder died, states are unknown.
    last_ns = min(clock.end_ns, trace.end_ns)
    rows: list[dict[str, Any]] = []
    for device in dict.fromkeys(each["device"] for each in events):
        own = [each for each in events if each["device"] == device]
        known = [_known(each["state"]) for each in own]
        # Clocks and processes change too: only the columns here begin a new row.
        new = [n for n, each in enumerate(known) if n == 0 or each != known[n - 1]]
        ends_ns = [own[n]["time_ns"] for n in new[1:]] + [last_ns]
        for n, end_ns in zip(new, ends_ns, strict=True):
            start_ns = max(own[n]["time_ns"], clock.start_ns)
            if start_ns < min(end_ns, last_ns):
                rows.append(
                    {
                        "device": device,
                        "start_s": clock.seconds(start_ns),
                        "end_s": clock.seconds(min(end_ns, last_ns)),
                        **known[n],
                    }
                )
    return rows


def _known(state: dict[str, Any]) -> dict[str, Any]:
    throttling = state.get("throttling")
    return {
        "temperature_c": state.get("temperature_c"),
        "throttled": None if throttling is None else bool(throttling),
    }
