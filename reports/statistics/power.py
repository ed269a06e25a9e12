"""Power, phases and temperature of one run per arm, as finely as a figure can show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.energy_kind import standing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.results.run_detail import CloseUp
    from reports.data import StudyResults


Array = npt.NDArray[np.float64]


def total(power: pd.DataFrame) -> pd.DataFrame:
    """The sum over devices of the bins of a run (columns of `CloseUp.power`).

    Devices are binned apart from each other, so that the sum has the edges of all. Its `low_w` and
    `high_w` are its mean: the extremes of devices do not come at one moment. Its coverage is
    that of the device that was observed least.
    """
    edges = np.unique(power[["start_s", "end_s"]].to_numpy())
    middle = (edges[1:] + edges[:-1]) / 2
    mean_w, coverage = np.zeros(len(middle)), np.full(len(middle), np.nan)
    for _, own in power.groupby("device", sort=False):
        mean_w += np.nan_to_num(_at(own, middle, "mean_w"))
        coverage = np.fmin(coverage, _at(own, middle, "coverage"))
    columns = {"start_s": edges[:-1], "end_s": edges[1:], "coverage": coverage}
    columns |= dict.fromkeys(("low_w", "mean_w", "high_w"), mean_w)
    return pd.DataFrame(columns).dropna(subset=["coverage"], ignore_index=True)


def thinned(bins: pd.DataFrame, width_s: float) -> pd.DataFrame:
    """The bins of one device, those within each `width_s` as one; the area under them stays."""
    start_s, end_s = _columns(bins, "start_s", "end_s")
    first = _firsts(start_s, end_s, width_s)
    length_s = end_s - start_s
    sums = [
        np.add.reduceat(bins[name].to_numpy(dtype=float) * length_s, first)
        for name in ("mean_w", "coverage")
    ]
    whole_s = np.add.reduceat(length_s, first)
    return pd.DataFrame(
        {
            "start_s": start_s[first],
            "end_s": end_s[_lasts(first, len(bins))],
            "low_w": np.minimum.reduceat(bins["low_w"].to_numpy(dtype=float), first),
            "mean_w": sums[0] / whole_s,
            "high_w": np.maximum.reduceat(bins["high_w"].to_numpy(dtype=float), first),
            "coverage": sums[1] / whole_s,
        }
    )


def bands(windows: pd.DataFrame, width_s: float, label: Callable[[str], str]) -> pd.DataFrame:
    """The windows of a run as bands that tile it: `phase`, `start_s`, `end_s`.

    Time is cut into pieces of about `width_s`. A label begins at a piece that it has more than half
    of, or that the label before it has nothing of; so that many short windows are not noise.

    Args:
        windows: Columns of `CloseUp.windows`.
        width_s: Width of what can still be seen.
        label: The label that a phase is shown under.
    """
    start_s, end_s = _columns(windows, "start_s", "end_s")
    count = max(round((end_s[-1] - start_s[0]) / width_s), 1)
    edges = np.linspace(start_s[0], end_s[-1], count + 1)
    names = windows["phase"].map(label).to_numpy()
    found = list(dict.fromkeys(names.tolist()))
    shares = []
    for name in found:
        own = names == name
        knots = np.stack([start_s[own], end_s[own]], axis=1).ravel()
        lengths = np.stack([np.zeros(own.sum()), (end_s - start_s)[own]], axis=1).ravel()
        shares.append(np.diff(np.interp(edges, knots, np.cumsum(lengths))) / np.diff(edges))
    rows: list[tuple[str, float, float]] = []
    now = -1
    for piece, share in enumerate(np.array(shares).T):
        most = int(np.argmax(share))
        if now < 0 or (most != now and (share[most] > 0.5 or share[now] <= 0)):
            now = most
            rows.append((found[now], edges[piece], edges[piece + 1]))
        else:
            rows[-1] = (*rows[-1][:2], edges[piece + 1])
    return pd.DataFrame(rows, columns=["phase", "start_s", "end_s"])


def conditions(states: pd.DataFrame, width_s: float) -> pd.DataFrame:
    """The temperature of the warmest device, and whether any was throttled (1, 0, or not known).

    Args:
        states: Columns of `CloseUp.states`.
        width_s: Within such a time the extreme counts.
    """
    edges = np.unique(states[["start_s", "end_s"]].to_numpy(dtype=float))
    middle = (edges[1:] + edges[:-1]) / 2
    known = states.astype({"temperature_c": float, "throttled": float})
    columns = {name: np.full(len(middle), np.nan) for name in ("temperature_c", "throttled")}
    for _, own in known.groupby("device", sort=False):
        for name, worst in columns.items():
            columns[name] = np.fmax(worst, _at(own, middle, name))
    first = _firsts(edges[:-1], edges[1:], width_s)
    found = {name: np.fmax.reduceat(worst, first) for name, worst in columns.items()}
    new = np.ones(len(first), dtype=bool)
    new[1:] = ~np.logical_and.reduce(
        [np.isclose(each[1:], each[:-1], equal_nan=True) for each in found.values()]
    )
    kept = np.flatnonzero(new)
    ends_s = edges[1:][_lasts(first, len(middle))]
    return pd.DataFrame(
        {
            "start_s": edges[:-1][first][kept],
            "end_s": ends_s[_lasts(kept, len(first))],
            **{name: each[kept] for name, each in found.items()},
        }
    )


def _at(rows: pd.DataFrame, moments_s: Array, column: str) -> Array:
    """A device's values at some moments; NaN between its rows."""
    start_s, end_s, value = _columns(rows, "start_s", "end_s", column)
    row = np.searchsorted(start_s, moments_s, side="right") - 1
    inside = (row >= 0) & (moments_s < end_s[row])
    return np.where(inside, value[row], np.nan)


def _columns(rows: pd.DataFrame, *names: str) -> list[Array]:
    return [rows[name].to_numpy(dtype=float) for name in names]


def _firsts(start_s: Array, end_s: Array, width_s: float) -> npt.NDArray[np.int64]:
    """The first row of each group within `width_s`; a hole between rows begins a group, too."""
    piece = np.floor((start_s + end_s) / 2 / width_s)
    after_hole = start_s[1:] > end_s[:-1] + 1e-9
    return np.flatnonzero(np.concatenate([[True], (np.diff(piece) != 0) | after_hole]))


def _lasts(first: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The last row of each group."""
    return np.concatenate([first[1:], [count]]) - 1


MAX_DEVICES = 4
"""Of more devices than this the sum is shown, not each one."""
_UUID_TAIL = re.compile(r"(?<=-[0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, eq=False)
class RunPower:
    """One arm's run.

    Attributes:
        arm: Its label.
        energy_j: Of the whole run.
        uncertainty_j: Of that energy (95 %).
        seen: The run in detail.
        measured: Whether sensors measured all of it.
        phases: By phase label, its energy (J) and how long it took (s).
    """

    arm: str
    energy_j: float
    uncertainty_j: float
    seen: CloseUp
    measured: bool
    phases: dict[str, tuple[float, float]]

    @property
    def seed(self) -> int:
        """Which run of its arm."""
        return self.seen.seed

    @cached_property
    def length_s(self) -> float:
        """Time worked, over all attempts."""
        return float(max(*self.seen.power["end_s"], *self.seen.windows["end_s"]))

    @cached_property
    def lines(self) -> dict[str, pd.DataFrame]:
        """Bins of power, by device; those of the sum where there are too many."""
        power = self.seen.power
        devices = [str(device) for device in dict.fromkeys(power["device"])]
        if len(devices) > MAX_DEVICES:
            return {f"sum of {len(devices)} devices": total(power)}
        return {short_name(device): power[power["device"] == device] for device in devices}

    @property
    def borders_s(self) -> list[float]:
        """Where attempts began, but the first."""
        starts: list[float] = self.seen.windows.groupby("attempt")["start_s"].min().tolist()
        return starts[1:]


def short_name(device: str) -> str:
    """A device's id, shortened: of a UUID the first eight digits."""
    return _UUID_TAIL.sub("", device)


def run_powers(results: StudyResults, label: Callable[[str], str]) -> list[RunPower]:
    """The close-ups of a study that have power, in the order of its arms.

    Args:
        results: The study.
        label: The label that a phase is shown under.
    """
    found = []
    for arm in results.arms:
        seen = results.close_ups.get(arm)
        if seen is None or seen.power.empty or seen.windows.empty:
            continue
        runs = results.finished[_is_of(results.finished, arm, seen.seed)]
        phases = results.phases[_is_of(results.phases, arm, seen.seed)]
        sums = phases.groupby(phases["phase"].map(label))[["energy_j", "duration_s"]].sum()
        found.append(
            RunPower(
                arm,
                float(runs["energy_j"].iloc[0]),
                float(runs["uncertainty_j"].iloc[0]),
                seen,
                standing_of(runs).measured,
                {str(phase): (joules, seconds) for phase, joules, seconds in sums.itertuples()},
            )
        )
    return found


def _is_of(table: pd.DataFrame, arm: str, seed: int) -> pd.Series[bool]:
    return (table["arm"] == arm) & (table["seed"] == seed)
