"""One curve for a device: its counter where that can be trusted, its power where it cannot.

Where neither gave a reading the energy is carried on at the power around, counted as not observed,
and as uncertain as the device's range of power allows.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.energy.curves.counter import FROZEN_UPDATES, Stretch, stretches
from harness.energy.curves.curve import GATHERED, Curve, Floats, joined, nothing, unknown_power_w
from harness.energy.curves.power import SampledPower
from harness.energy.trace import Readings

_RANGE = 2.0
"""A device whose limit is unknown may draw so many times what it was seen to draw."""
_TELLING_S = 0.01
"""Shorter steps of a curve say little about power."""
_SAME = 1e-6
"""Powers of a curve that differ less, as a share, do so by rounding alone."""


def device_curve(
    counter: Readings | None, power: Readings | None, borders_s: Floats, period_s: float
) -> Curve:
    """The cumulative energy of a device, from the first border to the last if it was read at all.

    Args:
        counter: Readings of its energy counter, if it has one that can be trusted at all.
        power: Readings of its power, if it has any.
        borders_s: Where the load may change, rising.
        period_s: Time between readings that was asked for.
    """
    curve = _observed(counter, power, borders_s, period_s)
    if len(curve.time_s) < 2 or not len(borders_s):
        return curve
    ceilings_w = [each.sensor.ceiling_w for each in (counter, power) if each]
    missing = _Missing([curve], None, None, ceilings_w[0])
    before = missing.time(borders_s[0], _start(curve))
    return joined([*before, curve, *missing.time(_end(curve), borders_s[-1])])


def _observed(
    counter: Readings | None, power: Readings | None, borders_s: Floats, period_s: float
) -> Curve:
    """The same, from its first reading to its last."""
    sampled = SampledPower(power, borders_s, period_s) if power else None
    shape = sampled.curve if sampled else None
    trusted = [_counted(part) for part in stretches(counter, borders_s, shape)] if counter else []
    if counter is None or not trusted:
        return sampled.curve() if sampled else nothing()
    missing = _Missing(trusted, sampled, counter, counter.sensor.ceiling_w)
    parts = [trusted[0]]
    for before, after in pairwise(trusted):
        parts += [*missing.time(_end(before), _start(after)), after]
    if sampled and sampled.spans:
        start_s, end_s = sampled.spans
        parts = [*missing.time(start_s, _start(trusted[0])), *parts]
        parts += missing.time(_end(trusted[-1]), end_s)
    return joined(parts)


class _Missing:
    """Stands in for a counter in time that it cannot vouch for.

    Args:
        trusted: What is known of the device.
        filler: Its power, if there is any.
        counter: Its counter, if there is any.
        ceiling_w: The most that it may draw, if that is known.
    """

    def __init__(
        self,
        trusted: list[Curve],
        filler: SampledPower | None,
        counter: Readings | None,
        ceiling_w: float | None,
    ) -> None:
        self._trusted = trusted
        self._filler = filler
        self._counter = counter
        self._known_ceiling_w = ceiling_w

    def time(self, start_s: float, end_s: float) -> list[Curve]:
        """Curves that tile this time."""
        if end_s <= start_s:
            return []
        spans = self._filler.spans if self._filler else None
        if self._filler is None or spans is None or end_s <= spans[0] or start_s >= spans[1]:
            return [self._gap(start_s, end_s)]
        from_s, to_s = max(start_s, spans[0]), min(end_s, spans[1])
        filler = self._filler.curve(to_s)
        if self._all_stands_still(filler, from_s, to_s):
            return [self._gap(start_s, end_s)]
        return [
            *([self._gap(start_s, from_s)] if from_s > start_s else []),
            _cut(filler, from_s, to_s),
            *([self._gap(to_s, end_s)] if end_s > to_s else []),
        ]

    def _all_stands_still(self, filler: Curve, start_s: float, end_s: float) -> bool:
        """Whether power says nothing new either while the counter is read in vain.

        A board whose sensors are frozen as one shows a power that it drew once.
        """
        if self._counter is None:
            return False
        later_s = (start_s + end_s) / 2  # the freeze may have begun after the counter broke
        first, end = np.searchsorted(self._counter.time_s, [later_s, end_s])
        update_s = self._counter.sensor.update_s
        if end <= first or end_s - later_s < (FROZEN_UPDATES - 1) * update_s:
            return False
        powers_w = _powers_w(_cut(filler, later_s, end_s))
        return bool(np.ptp(powers_w) <= _SAME * powers_w.max()) if len(powers_w) else False

    @cached_property
    def _range_w(self) -> tuple[float, float, float]:
        """The least, the mean and the most that the device may draw, by all that is known of it."""
        trusted = self._trusted
        known = [*trusted, self._filler.curve()] if self._filler else trusted
        powers = np.concatenate([_powers_w(curve) for curve in known])
        lengths_s = sum(_end(part) - _start(part) for part in trusted)
        energy_j = sum(part.energy_j[-1] - part.energy_j[0] for part in trusted)
        mean_w = energy_j / lengths_s if lengths_s else 0.0
        seen_w = float(powers.max(initial=mean_w))
        ceiling_w = max(self._known_ceiling_w or _RANGE * seen_w, seen_w)
        return float(powers.min(initial=mean_w)), mean_w, ceiling_w

    def _gap(self, start_s: float, end_s: float) -> Curve:
        length_s = end_s - start_s
        floor_w, mean_w, ceiling_w = self._range_w
        unknown_w = unknown_power_w(mean_w, floor_w, ceiling_w)
        zeros = np.zeros(2)
        return Curve(
            time_s=np.array([start_s, end_s]),
            energy_j=np.array([0.0, mean_w * length_s]),
            border_var=zeros,
            random_var=zeros,
            gap_j=np.array([0.0, unknown_w * length_s]),
            aliasing_j=zeros,
            looks=zeros,
            seen_s=zeros,
        )


def _counted(part: Stretch) -> Curve:
    zeros = np.zeros(len(part.time_s))
    # Where another curve takes over, what is not known of the ends stays within the window.
    random_var = np.full(len(part.time_s), part.border_var[0])
    random_var[0] = 0
    random_var[-1] += part.border_var[-1]
    return Curve(
        time_s=part.time_s,
        energy_j=part.energy_j,
        border_var=part.border_var,
        random_var=random_var,
        gap_j=zeros,
        aliasing_j=zeros,
        looks=zeros,
        seen_s=part.time_s,
    )


def _cut(curve: Curve, start_s: float, end_s: float) -> Curve:
    inner = (curve.time_s > start_s) & (curve.time_s < end_s)
    time_s = np.concatenate([[start_s], curve.time_s[inner], [end_s]])
    values = {name: np.interp(time_s, curve.time_s, getattr(curve, name)) for name in GATHERED}
    return Curve(time_s=time_s, border_var=np.zeros(len(time_s)), **values)


def _powers_w(curve: Curve) -> Floats:
    apart_s, steps_j = np.diff(curve.time_s), np.diff(curve.energy_j)
    telling = apart_s > _TELLING_S
    powers_w: Floats = steps_j[telling] / apart_s[telling]
    return powers_w


def _start(curve: Curve) -> float:
    return float(curve.time_s[0])


def _end(curve: Curve) -> float:
    return float(curve.time_s[-1])
