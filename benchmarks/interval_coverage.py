"""How often a nominal 95 % interval of a mean holds the truth, with so few seeds as studies have.

    python benchmarks/interval_coverage.py > benchmarks/interval_coverage.txt

Normal samples of known mean, 2,000 a size: Student's t, as reports use it, beside two bootstraps
(scipy.stats.bootstrap, 1,999 resamples). A quarter of a minute.
"""

from __future__ import annotations

import platform

import numpy as np
import scipy
from scipy.stats import bootstrap

from reports.statistics.statistics import t_interval

REPETITIONS = 2000
SIZES = (3, 5, 10)
SEED = 0


def covered(size: int, method: str, generator: np.random.Generator) -> float:
    """Share of intervals that hold the true mean, zero."""
    samples = generator.standard_normal((REPETITIONS, size))
    if method == "t":
        held = []
        for sample in samples:
            interval = t_interval(sample)
            held.append(interval.low <= 0 <= interval.high)
        return float(np.mean(held))
    found = bootstrap(
        (samples,), np.mean, axis=1, n_resamples=1999, method=method, rng=generator, batch=100
    ).confidence_interval
    return float(np.mean((found.low <= 0) & (found.high >= 0)))


def main() -> None:
    """Print a line a size."""
    print(f"scipy {scipy.__version__}, numpy {np.__version__}, Python {platform.python_version()}")  # noqa: T201
    print("seeds  Student's t  percentile bootstrap  BCa bootstrap")  # noqa: T201
    for size in SIZES:
        shares = (
            covered(size, method, np.random.default_rng(SEED))
            for method in ("t", "percentile", "BCa")
        )
        t, percentile, bca = (f"{share:.1%}" for share in shares)
        print(f"{size:5}  {t:>11}  {percentile:>20}  {bca:>13}")  # noqa: T201


if __name__ == "__main__":
    main()
