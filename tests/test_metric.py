"""What a score is, and how a record holds it."""

from __future__ import annotations

import json
import math

import pytest

from harness.settings.metric import ACCURACY, BITS_PER_BYTE, Metric


@pytest.mark.parametrize("metric", [ACCURACY, BITS_PER_BYTE, Metric("R2", highest=1.0)])
def test_a_record_holds_all_of_it(metric: Metric) -> None:
    recorded = json.loads(json.dumps(metric.to_json(), allow_nan=False))
    assert Metric.from_json(recorded | {"of_a_later_version": 1}) == metric


def test_better_is_higher_under_the_sign() -> None:
    assert ACCURACY.sign * 0.9 > ACCURACY.sign * 0.8
    assert BITS_PER_BYTE.sign * 1.8 > BITS_PER_BYTE.sign * 2.0


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"lowest": 1.0, "highest": 1.0}, {"factor": 0.0}, {"margin": -1.0}]
)
def test_what_no_score_can_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"error|name"):
        Metric(**{"name": "error", "highest": math.inf} | wrong)  # type: ignore[arg-type]
