"""EarlyCroP: when it prunes, what it scores, and how far weights have moved, each written twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import Batch, Budget, Moved, Record, check_method
from harness.pruning.channels import missing_gates
from harness.pruning.unit_scores import gradient_flow
from harness.settings.catalogue import resolve_model
from methods.early_crop import EarlyCrop
from tests.methods.played import epochs_of, kinds, played


class Official:
    """`_epoch_iteration` of the official trainer, on distances that are given."""

    def __init__(self, limit: float) -> None:
        self.limit, self.threshold, self.diff, self.has_weights = limit, None, 0.0, False
        self.stable = False

    def epoch(self, distance: float) -> bool:
        if self.has_weights:
            if self.threshold is None:
                self.threshold = distance * min(1 - self.limit - 0.1, 0.99)
            if abs(distance - self.diff) < self.threshold:
                self.stable = True
            self.diff = distance
        self.has_weights = True
        return self.stable


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("seed", range(12))
def test_it_prunes_when_the_official_code_does(ratio: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    growth = draw.uniform(0.2, 1.0, 20) * draw.uniform(0.5, 1.0) ** np.arange(20)
    distances = [0.0, *np.cumsum(growth).tolist()]
    official = Official(ratio)
    stable = [official.epoch(distance) for distance in distances[:15]]
    expected = stable.index(True) + 1 if True in stable else 15
    left = iter(distances[1:])
    phases = played(
        EarlyCrop(prune_ratio=ratio, search_epochs=15),
        Budget(30),
        lambda phase: next(left) if isinstance(phase, Moved) else None,
    )
    [record] = [phase for phase in phases if isinstance(phase, Record)]
    assert record.facts == {"ticket_emerged": True in stable, "ticket_epoch": expected}
    assert kinds(phases)[:4] == ["Train", "Snapshot", "Train", "Moved"]
    assert kinds(phases)[-3:] == ["Inspect", "Shrink", "Train"]
    assert epochs_of(phases) == 30


class Gated(nn.Module):
    """Two convolutions and a hidden layer with gates in plain sight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm_a = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.b, self.norm_b = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor, gates: Any = (1.0, 1.0)) -> Tensor:
        hidden = self.norm_a(self.a(images) * gates[0]).relu()
        hidden = self.norm_b(self.b(hidden) * gates[1]).relu()
        return self.head(hidden.mean((2, 3)))


def gradients(network: Gated, batch: Batch, gates: Any = (1.0, 1.0)) -> list[Tensor]:
    weights = [network.a.weight, network.b.weight, network.head.weight]
    loss = F.cross_entropy(network(batch.inputs, gates), batch.targets)
    return list(torch.autograd.grad(loss, weights))


@pytest.mark.parametrize("seed", range(3))
def test_the_score_is_the_change_of_the_flow_by_finite_differences(seed: int) -> None:
    torch.manual_seed(seed)
    network = Gated().double()
    images = torch.randn(12, 1, 8, 8, dtype=torch.float64)
    network.train()(images)  # statistics that are not the first ones
    batch = Batch(images, torch.randint(3, (12,)))
    network.eval()
    found = gradient_flow(network, batch)
    fixed = gradients(network, batch)
    step = 1e-4
    for place, (name, width) in enumerate((("norm_a", 4), ("norm_b", 6))):
        for unit in range(width):
            values = []
            for sign in (1, -1):
                gate = torch.ones(width, 1, 1, dtype=torch.float64)
                gate[unit] += sign * step
                gates = (gate, 1.0) if place == 0 else (1.0, gate)
                pairs = zip(fixed, gradients(network, batch, gates), strict=True)
                values.append(sum(float((one * other).sum()) for one, other in pairs))
            expected = abs(values[0] - values[1]) / (2 * step)
            assert float(found[name][unit]) == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_heads_and_neurons_are_scored_as_well() -> None:
    torch.manual_seed(0)
    images = torch.randn(6, 1, 8, 8)
    network = resolve_model("vit_tiny")(1, 10)
    network = missing_gates(network, images).insert(network)
    scores = gradient_flow(network, Batch(images, torch.arange(6)))
    assert all(bool((each > 0).any()) for each in scores.values())
    assert {len(each) for each in scores.values()} == {6, 384}


def test_it_satisfies_the_contract() -> None:
    assert all(finding.holds for finding in check_method(EarlyCrop(samples=32)))
