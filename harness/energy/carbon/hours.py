"""How the carbon of a run depends on the hour at which it begins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.energy.carbon.series import CarbonSeries

HOUR_NS = 3_600_000_000_000


def by_hour(series: CarbonSeries, duration_s: float) -> list[dict[str, Any]]:
    """For each hour of the day (UTC), the mean factor over runs that begin then.

    A run begins at every full hour from which it ends within the series. Its factor is the mean
    over its time, as if it drew the same power throughout.

    Args:
        series: The factors over time.
        duration_s: How long a run takes.

    Returns:
        A row an hour: `hour`, `kg_per_kwh` (mean over days), `kg_per_kwh_low`, `kg_per_kwh_high`
        (lowest and highest day). Hours at which no run fits into the series are left out.
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        return []
    duration_ns = round(duration_s * 1e9)
    first_ns = series.starts_ns[0]
    # A factor that holds for ever says nothing of the days to come.
    end_ns = int(series.end_ns) if math.isfinite(series.end_ns) else series.starts_ns[-1]
    first_hour = -(-first_ns // HOUR_NS)
    last_hour = (end_ns - duration_ns) // HOUR_NS
    if last_hour < first_hour:
        return []
    hours = np.arange(first_hour, last_hour + 1)
    # Seconds since the first factor: nanoseconds since 1970 are too large for a float.
    knots_s = (np.array([*series.starts_ns, end_ns]) - first_ns) * 1e-9
    factors = np.array([factor.kg_per_kwh for factor in series.factors])
    so_far = np.concatenate([[0.0], np.cumsum(factors * np.diff(knots_s))])
    begin_s = (hours * HOUR_NS - first_ns) * 1e-9
    ends = np.interp(begin_s + duration_ns * 1e-9, knots_s, so_far)
    means = (ends - np.interp(begin_s, knots_s, so_far)) / (duration_ns * 1e-9)
    rows = []
    for hour in range(24):
        days = means[hours % 24 == hour]
        if len(days):
            rows.append(
                {
                    "hour": hour,
                    "kg_per_kwh": float(days.mean()),
                    "kg_per_kwh_low": float(days.min()),
                    "kg_per_kwh_high": float(days.max()),
                }
            )
    return rows
