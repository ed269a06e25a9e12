"""The cumulative energy of one device over time, with every part of its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.energy.sensors.base import Sensor

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
Z95 = 1.96
"""Half-width of a 95 % interval in standard deviations."""


@dataclass(frozen=True)
class Joules:
    """The energy of a window on some devices. All uncertainties are half-widths at 95 %.

    Attributes:
        energy_j: What was drawn.
        gain_j: Accuracy of the sensor: fixed for a device and the same in every window, so that it
            adds up over windows.
        border_j: From splitting updates at the window's edges (named as the column in the tables).
        gap_j: From time in which the sensor gave no usable reading.
        aliasing_j: From time between the looks of a sampling sensor, for a load that is not known
            to be in step with it (see `in_step_share`).
        coverage: Share of the window that was observed, 0 to 1.
    """

    energy_j: float
    gain_j: float
    border_j: float
    gap_j: float
    aliasing_j: float
    coverage: float

    @property
    def uncertainty_j(self) -> float:
        """All parts together."""
        return math.hypot(self.gain_j, self.without_gain_j)

    @property
    def without_gain_j(self) -> float:
        """All parts but the gain, which cancels between two windows on the same devices."""
        return math.hypot(self.border_j, self.gap_j, self.aliasing_j)


@dataclass(frozen=True)
class Curve:
    """Cumulative quantities at moments, linear in between, flat outside.

    Windows are differences of the curve, so that windows that tile a span add up to the span.

    Attributes:
        time_s: Monotonic clock, shape (nodes,), rising.
        energy_j: Energy up to each node.
        edge_var: Variance of the energy up to a node that both of its sides share (a counter's
            share of an update), J².
        random_var: Variance gathered up to a node (samples of a power that varies), J².
        gap_j: Uncertainty (95 %) gathered in gaps up to a node.
        aliasing_j: Uncertainty (95 %) gathered while not looking, up to a node, of a load that is
            in step with the looks.
        looks: Number of looks of a sensor that is blind in between, up to a node.
        seen_s: Time observed up to a node.
    """

    time_s: Floats
    energy_j: Floats
    edge_var: Floats
    random_var: Floats
    gap_j: Floats
    aliasing_j: Floats
    looks: Floats
    seen_s: Floats

    def at(self, time_s: float, what: Floats) -> float:
        """One of the quantities at a moment."""
        return float(np.interp(time_s, self.time_s, what)) if len(self.time_s) else 0.0

    def between(self, starts_s: Floats, ends_s: Floats, sensor: Sensor) -> list[Joules]:
        """The energy of windows, one each.

        Args:
            starts_s: Their first moments, shape (windows,).
            ends_s: Their last, shape (windows,).
            sensor: Its gain is as uncertain in every window, and no edge is known better than it
                resolves.
        """
        if not len(self.time_s):
            return [Joules(0.0, 0.0, sensor.resolution_j, 0.0, 0.0, 0.0) for _ in starts_s]

        def at(moments_s: Floats, what: Floats) -> Floats:
            return np.interp(moments_s, self.time_s, what)

        def over(what: Floats) -> Floats:
            return at(ends_s, what) - at(starts_s, what)

        energy_j = over(self.energy_j)
        variance = at(starts_s, self.edge_var) + at(ends_s, self.edge_var)
        variance += over(self.random_var)
        lasts = ends_s > starts_s
        length_s = np.where(lasts, ends_s - starts_s, 1.0)
        least_j = edge_resolution_j(sensor, np.abs(energy_j) / length_s)
        columns = (
            energy_j,
            np.abs(energy_j) * sensor.relative_uncertainty,
            np.maximum(Z95 * np.sqrt(np.maximum(variance, 0.0)), least_j),
            over(self.gap_j),
            over(self.aliasing_j) * in_step_share(over(self.looks)),
            np.where(lasts, np.clip(over(self.seen_s) / length_s, 0.0, 1.0), 0.0),
        )
        return [Joules(*row) for row in zip(*(each.tolist() for each in columns), strict=True)]


def edge_resolution_j(sensor: Sensor, power_w: Floats) -> Floats:
    """No edge of a window is known better than this, in J, at each power.

    A counter that is polled moves as soon as a step is full, so that at this moment it is right to
    what is drawn from one look to the next.
    """
    if not sensor.poll_s:
        return np.full_like(power_w, sensor.resolution_j)
    return np.minimum(sensor.resolution_j, power_w * (sensor.poll_s + sensor.update_s))


GATHERED = ("energy_j", "random_var", "gap_j", "aliasing_j", "looks", "seen_s")
"""Quantities of a curve that add up along it."""


def joined(parts: Sequence[Curve]) -> Curve:
    """Join curves that follow each other in time; each continues from the end of the last."""
    if not parts:
        return nothing()

    def gathered(name: str) -> Floats:
        found, base = [], 0.0
        for part in parts:
            values: Floats = getattr(part, name)
            found.append(values - values[0] + base)
            base = float(found[-1][-1])
        return np.concatenate(found)

    return Curve(
        time_s=np.concatenate([part.time_s for part in parts]),
        edge_var=np.concatenate([part.edge_var for part in parts]),
        **{name: gathered(name) for name in GATHERED},
    )


def nothing() -> Curve:
    """The curve of a device without any reading."""
    return Curve(**{name: np.zeros(0) for name in ("time_s", "edge_var", *GATHERED)})


def in_step_share(looks: Floats) -> Floats:
    """Factor on the bound for a load in step (95 %): the longer, the less likely it is.

    A sensor sees a periodic load as constant while its phase drifts by less than half a period. Of
    all frequencies between two multiples of the sensor's own, a share of 1 / looks keeps step for
    this long; the others show in the spread of the samples. So what is hidden must hold with 95 %
    in that share of cases only: with 19 in 20 of looks beyond 20 nothing is to be added. A load
    whose frequency *is* the sensor's is not among them: nothing in its readings shows it.
    """
    in_step = np.minimum((1 - CONFIDENCE) * np.maximum(looks, 1.0), 1.0)
    share: Floats = (1 - np.sqrt(in_step)) / (1 - math.sqrt(1 - CONFIDENCE))
    return share


def unknown_power_w(mean_w: float, floor_w: float, ceiling_w: float) -> float:
    """Uncertainty of a mean power (95 %) over time without readings.

    The power is taken as evenly likely between the least and the most that the device draws.
    """
    below, above = max(mean_w - floor_w, 0.0), max(ceiling_w - mean_w, 0.0)
    both, less = below + above, min(below, above)
    return CONFIDENCE * both / 2 if CONFIDENCE * both <= 2 * less else CONFIDENCE * both - less


def hidden_power_w(mean_w: float, floor_w: float, ceiling_w: float) -> float:
    """Uncertainty of a mean power (95 %) over time between looks that all saw this power.

    Such a load is at another power for some part of its period, in step with the looks. The longer
    that part is, the less likely is it that none of them falls into it: the density of what was
    missed falls off in proportion, to zero for a load that is never what it was seen to be.
    """
    below_w, above_w = max(mean_w - floor_w, 0.0), max(ceiling_w - mean_w, 0.0)
    less_w, more_w = sorted((below_w, above_w))
    both_w = below_w + above_w
    beyond_w = more_w - math.sqrt((1 - CONFIDENCE) * more_w * both_w)
    if beyond_w >= less_w:
        return beyond_w
    ratio = less_w * more_w / both_w
    return ratio * (2 - math.sqrt(4 - CONFIDENCE * both_w / ratio))
