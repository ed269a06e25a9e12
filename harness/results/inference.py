"""The measured inferences of a run's network, as columns of the table of runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.network.inferences import Inferences, energy_of, read_inferences, source_of
from harness.network.record import read_record

UNKNOWN: dict[str, Any] = {
    "inference_j": math.nan,
    "inference_uncertainty_j": math.nan,
    "inference_gain_j": math.nan,
    "inference_source": None,
    "latency_s": math.nan,
    "latency_p99_s": math.nan,
    "inference_batch": math.nan,
    "inference_runtime": None,
    "inference_device": None,
    "inference_threads": math.nan,
    "inference_host": None,
    "inference_gpus": None,
}
"""The columns of a run whose network has not been measured."""


def inference_columns(folder: Path) -> dict[str, Any]:
    """What the newest measurement found at its smallest batch; unknown where there is none.

    Measurements of another network than the run's present one do not count.

    Args:
        folder: The run's.
    """
    chosen = _newest(folder)
    if chosen is None:
        return UNKNOWN
    [found] = energy_of([chosen], folder)
    joules = found.joules
    per_sample = 1 / chosen.samples if found.devices else math.nan
    gpus = sorted(each.id for each in found.devices if each.kind in ("gpu", "module"))
    return {
        "inference_j": joules.energy_j * per_sample,
        "inference_uncertainty_j": joules.uncertainty_j * per_sample,
        "inference_gain_j": joules.gain_j * per_sample,
        "inference_source": source_of(found),
        "latency_s": chosen.latency_s,
        "latency_p99_s": chosen.latency_p99_s,
        "inference_batch": chosen.batch,
        "inference_runtime": chosen.runtime,
        "inference_device": chosen.device,
        "inference_threads": chosen.threads,
        "inference_host": chosen.host,
        "inference_gpus": "+".join(gpus),
    }


def _newest(folder: Path) -> Inferences | None:
    windows = read_inferences(folder)
    if not windows:  # most runs: their record of the network is not read
        return None
    try:
        network = read_record(folder).weights_sha256
    except UsageError:
        return None
    own = [each for each in windows if each.weights_sha256 == network]
    last = [each for each in own if each.trace == own[-1].trace]
    return min(last, key=lambda each: each.batch, default=None)
