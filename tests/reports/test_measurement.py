"""How the energy of a study came about, in facts for the page."""

from __future__ import annotations

import math
from dataclasses import replace

from reports.text.measurement import facts
from tests.reports.synthetic import make


def test_how_busy_the_gpu_was_is_reported_per_method() -> None:
    results = make(["dense", "early_bird"], seeds=2)
    assert "GPU busy while training" not in dict(facts(results)), "older tables do not have it"
    shares = {"dense": [0.97, 0.95], "early_bird": [0.7, math.nan]}
    busy = [shares[run["arm"]][run["seed"]] for run in results.runs.to_dict("records")]
    results = replace(results, runs=results.runs.assign(gpu_busy=busy))
    assert dict(facts(results))["GPU busy while training"] == "dense 96 %, early_bird 70 %"
    results = replace(results, runs=results.runs.assign(gpu_busy=math.nan))
    assert "GPU busy while training" not in dict(facts(results))
