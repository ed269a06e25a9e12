"""Early-Bird's rule on gates of heads and neurons, as EarlyBERT draws its tickets, written twice.

The gates were recorded after each of ten epochs of `vit_tiny` on the digits (AdamW 1e-3, cosine
over 16 epochs, L1 1e-4 on gates, seed 0).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness import Budget, ChannelMask, bn_channel_mask
from harness.method.dry_run import planned_phases
from harness.method.phases import Inspect, Shrink, Train
from harness.pruning.batch import Batch
from harness.pruning.channels import missing_gates
from harness.pruning.groups import scales
from harness.settings.catalogue import resolve_model
from harness.study.registry import Registry

RECORDED = Path(__file__).parent / "gates_vit_tiny.npz"
EPOCHS = 10


@pytest.fixture(scope="module")
def gates() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as recorded:
        return {name: recorded[name] for name in recorded.files}


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, Tensor]:
    images = torch.zeros(1, 1, 8, 8)
    made = resolve_model("vit_tiny")(1, 10)
    return missing_gates(made, images).insert(made), images


def obvious_mask(values: dict[str, list[float]], ratio: float) -> dict[str, str]:
    """EarlyBERT: all heads on one list, all neurons on another; the lower share of each goes."""
    mask = {}
    for is_head in (True, False):
        mine = {name: each for name, each in values.items() if (".attention." in name) == is_head}
        ranked = sorted(value for each in mine.values() for value in each)
        threshold = ranked[int(len(ranked) * ratio)]
        for name, each in mine.items():
            mask[name] = "".join("1" if value > threshold else "0" for value in each)
    return mask


def obvious_distance(one: dict[str, str], other: dict[str, str]) -> float:
    """Share of all units of which one mask says otherwise than the other."""
    pairs = [(a, b) for name in one for a, b in zip(one[name], other[name], strict=True)]
    return sum(a != b for a, b in pairs) / len(pairs)


def obvious_epoch(masks: list[dict[str, str]], window: int, most: float) -> int | None:
    """The first epoch whose mask is near all of the last `window` ones, itself among them."""
    for epoch in range(window, len(masks) + 1):
        last = masks[epoch - window : epoch]
        if all(obvious_distance(last[-1], each) <= most for each in last):
            return epoch
    return None


@pytest.mark.parametrize("epoch", [0, 4, 9])
@pytest.mark.parametrize(("heads", "neurons"), [(0.3, 0.4), (0.5, 0.4), (0.5, 0.7)])
def test_heads_are_ranked_within_layers_and_neurons_have_a_share_of_their_own(
    heads: float,
    neurons: float,
    epoch: int,
    gates: dict[str, np.ndarray],
    network: tuple[nn.Module, Tensor],
) -> None:
    """The official code's thresholds: `np.quantile` along a layer's heads, over all neurons."""
    module, images = network
    with torch.no_grad():
        for name, layer in scales(module).items():
            layer.weight.copy_(torch.from_numpy(gates[name][epoch]))
    values = {name: np.abs(each[epoch]) for name, each in gates.items()}
    inner = {name: each for name, each in values.items() if ".attention." not in name}
    every = np.concatenate(list(inner.values()))
    expected = {}
    for name, each in values.items():
        pool, share = (every, neurons) if name in inner else (each, heads)
        threshold = np.quantile(pool, share, method="lower")
        if int(len(pool) * share) > (len(pool) - 1) * share:  # ours drops one more
            threshold = np.sort(pool)[int(len(pool) * share)]
        expected[name] = "".join("1" if keep else "0" for keep in each > threshold)
    batch = Batch(images, torch.zeros(1, dtype=torch.int64))
    question = bn_channel_mask(heads, neuron_ratio=neurons, heads_by_layer=True)
    assert question(module, batch) == ChannelMask(expected)
    method = Registry.discover().get("early_bird")(
        prune_ratio=heads, neuron_ratio=neurons, heads_by_layer=True, window=1
    )
    asked = [p.question for p in planned_phases(method, Budget(4)) if isinstance(p, Inspect)]
    drawn = replace(question, min_channels=method.min_channels, round_to=method.round_to)
    assert asked == [question, drawn]


@pytest.mark.parametrize(
    ("ratio", "window", "most", "expected"),
    [(0.5, 5, 0.1, 8), (0.5, 3, 0.1, 5), (0.3, 5, 0.05, 10), (0.5, 5, 0.01, None)],
)
def test_the_ticket_is_drawn_when_the_rule_written_out_says_so(
    ratio: float,
    window: int,
    most: float,
    expected: int | None,
    gates: dict[str, np.ndarray],
    network: tuple[nn.Module, Tensor],
) -> None:
    module, images = network
    layers = scales(module)
    assert layers.keys() == gates.keys()
    by_hand = [
        obvious_mask({name: each[epoch].tolist() for name, each in gates.items()}, ratio)
        for epoch in range(EPOCHS)
    ]
    method = Registry.discover().get("early_bird")(
        prune_ratio=ratio, window=window, max_distance=most, search_epochs=EPOCHS
    )
    batch = Batch(images, torch.zeros(1, dtype=torch.int64))
    phases = method.phases(Budget(2 * EPOCHS))
    asked, answer = 0, None
    while not isinstance(phase := phases.send(answer), Shrink):
        answer = phase.dummy_answer()
        if isinstance(phase, Train):
            with torch.no_grad():
                for name, layer in layers.items():
                    layer.weight.copy_(torch.from_numpy(gates[name][asked]))
        elif isinstance(phase, Inspect):
            answer = phase.question(module, batch)
            if phase.question.min_channels == 0:  # else it is the one to shrink by, with its floor
                assert answer == ChannelMask(by_hand[asked])
                asked += 1
    assert asked == (obvious_epoch(by_hand, window, most) or EPOCHS)
    assert obvious_epoch(by_hand, window, most) == expected
