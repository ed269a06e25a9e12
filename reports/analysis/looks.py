"""How sure each look at growing results must be, so that all looks together err no more than one.

A study that adds seeds until its verdict is decided looks at every number of seeds, and each look
is one more chance to be wrong. With a level a look that is low enough the chance that any of them
errs is that of a single look (group-sequential testing; Pocock 1977, Biometrika 64:2, for a
constant level; here for Student's t, whose spread is unknown).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import beta, stdtrit

_NODES = 400
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(40)


@lru_cache(maxsize=256)
def level_a_look(least: int, most: int, level: float) -> float:
    """The one-sided level of each look that makes that of all looks together `level`.

    Exact for normal differences of unknown spread that lie on the margin, with a look at each
    number of pairs. Only errors to one side count: that a study also ends on the other side makes
    it err less often.

    Args:
        least: Pairs of seeds at the first look, at least two.
        most: Pairs at the last look.
        level: One-sided, of all looks together, below 0.1.
    """
    if least == most:
        return level
    # Here, since only a study that adds seeds by a rule needs it, and it takes long to import.
    from scipy.optimize import brentq

    def excess(log: float) -> float:
        return false_rate(least, most, math.exp(log)) - level

    looks = most - least + 1
    log = brentq(excess, math.log(level / looks), math.log(level), xtol=1e-5)
    return math.exp(log)


def false_rate(least: int, most: int, a_look: float) -> float:
    """How often at least one look is beyond its one-sided level `a_look`, with no true difference.

    With S the sum of n differences and r the root of the sum of their squares, t follows from
    c = S / r. Since a direction and a length of normal values are independent, c is a Markov chain:
    the next one is c cos θ + sin θ, where θ has the density cos(θ)^(n−1) / B(1/2, n/2) on ±π/2.
    The chance to stay below all limits is integrated backwards over that chain.
    """
    stays = np.ones(_NODES)
    grid = _grid(most, _limit(most, a_look))
    for n in range(most - 1, least - 1, -1):
        limit = _limit(n + 1, a_look)
        here = _grid(n, _limit(n, a_look))
        stays = _step(n, here, limit, grid, stays)
        grid = here
    # The first look: c = √n sin α, where α has the density cos(α)^(n−2) / B(1/2, (n−1)/2).
    top = math.asin(_limit(least, a_look) / math.sqrt(least))
    angle, weight = _between(np.array([-math.pi / 2]), np.array([top]))
    kept = np.interp(math.sqrt(least) * np.sin(angle), grid, stays)
    density = np.cos(angle) ** (least - 2) / beta(0.5, (least - 1) / 2)
    return 1 - float(np.sum(weight * density * kept))


def _limit(n: int, a_look: float) -> float:
    """What c must not exceed at n pairs."""
    t = float(stdtrit(n - 1, 1 - a_look))
    return math.sqrt(n * t**2 / (n - 1 + t**2))


def _grid(n: int, limit: float) -> np.ndarray:
    """Values of c up to its limit, dense towards both of its ends, ±√n."""
    return math.sqrt(n) * np.sin(np.linspace(-math.pi / 2, math.asin(limit / math.sqrt(n)), _NODES))


def _step(
    n: int, here: np.ndarray, limit: float, after: np.ndarray, stays: np.ndarray
) -> np.ndarray:
    """From each c at n pairs: the chance that no later look is beyond its limit.

    c cos θ + sin θ is R cos(θ − ψ): it is beyond the limit within acos(limit / R) of ψ.
    """
    middle = np.arctan2(1, here)
    reach = np.arccos(np.minimum(limit / np.hypot(1, here), 1))
    kept = np.zeros_like(here)
    quarter = np.full_like(here, math.pi / 2)
    below = np.clip(middle - reach, -quarter, quarter)
    above = np.clip(middle + reach, -quarter, quarter)
    above = np.where(reach > 0, above, quarter)
    below = np.where(reach > 0, below, quarter)
    for low, high in ((-quarter, below), (above, quarter)):
        angle, weight = _between(low, high)
        c = here[:, None] * np.cos(angle) + np.sin(angle)
        density = np.cos(angle) ** (n - 1) / beta(0.5, n / 2)
        kept += np.sum(weight * density * np.interp(c, after, stays), axis=1)
    return kept


def _between(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of Gauss and Legendre's rule between two angles, a row a pair of them."""
    half = (high - low)[:, None] / 2
    return (high + low)[:, None] / 2 + half * _POINTS, half * _WEIGHTS
