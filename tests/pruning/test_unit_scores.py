"""Scores of units, each against what one would write by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.pruning.batch import Batch
from harness.pruning.channels import missing_gates
from harness.pruning.questions import bn_channel_mask
from harness.pruning.unit_scores import UNIT_SCORES, magnitude, scale, taylor


def network() -> tuple[nn.Module, Batch]:
    """One hidden layer with a gate, and four samples."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    samples = torch.randn(4, 6, dtype=torch.float64)
    missing_gates(made, samples).insert(made)
    nn.init.uniform_(made[2].gate.weight, 0.5, 1.5)
    return made, Batch(samples, torch.tensor([0, 1, 2, 0]))


def test_the_scale_is_the_gates() -> None:
    made, batch = network()
    torch.testing.assert_close(
        scale(made, batch)["2.gate"].double(), made[2].gate.weight.detach(), rtol=1e-6, atol=0.0
    )


def test_magnitude_is_that_of_the_weights_that_make_a_unit() -> None:
    made, batch = network()
    expected = made[0].weight.detach().abs().mean(dim=1).float()
    torch.testing.assert_close(magnitude(made, batch)["2.gate"], expected)


def test_taylor_predicts_what_taking_a_unit_away_does_to_the_loss() -> None:
    made, batch = network()
    nn.init.constant_(made[2].gate.weight, 1e-4)  # so small that first order is all
    found = taylor(made, batch)["2.gate"]

    def loss() -> torch.Tensor:
        return F.cross_entropy(made(batch[0]), batch[1]).detach()

    whole, changes = loss(), []
    for unit in range(8):
        kept = made[2].gate.weight.detach().clone()
        with torch.no_grad():
            made[2].gate.weight[unit] = 0
            changes.append((loss() - whole).abs())
            made[2].gate.weight.copy_(kept)
    torch.testing.assert_close(found, torch.stack(changes).float(), rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("score", UNIT_SCORES)
def test_a_mask_goes_by_the_score_it_names(score: str) -> None:
    made, batch = network()
    question = bn_channel_mask(0.5, score=score)  # type: ignore[arg-type]
    kept = question(made, batch).layers["2.gate"]
    best = UNIT_SCORES[score](made, batch)["2.gate"].argsort(descending=True)[:3].tolist()
    assert [unit for unit, bit in enumerate(kept) if bit == "1"] == sorted(best)
    assert ("score" in question.describe()["bn_channel_mask"]) == (score != "scale")
