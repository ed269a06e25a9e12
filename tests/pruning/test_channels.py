"""Channel masks follow the paper's rule; floor, rounding and coupled layers follow ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import ChannelMask, bn_channel_mask
from harness.batch_norm import scaled_batch_norms
from harness.pruning.channels import channel_groups, channel_scores, global_mask
from tests.networks import images, make

scores = st.lists(
    st.lists(st.integers(0, 40).map(lambda tenth: tenth / 10), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


def obvious_mask(layers: list[list[float]], prune_ratio: float) -> list[str]:
    """The paper's rule as one would write it by hand: sort, take the threshold, compare."""
    everything = sorted(score for layer in layers for score in layer)
    threshold = everything[int(len(everything) * prune_ratio)]
    return ["".join("1" if score > threshold else "0" for score in layer) for layer in layers]


def tensors(layers: list[list[float]]) -> dict[str, torch.Tensor]:
    return {f"layer{i}": torch.tensor(layer) for i, layer in enumerate(layers)}


@given(layers=scores, prune_ratio=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_without_floor_and_rounding_the_mask_is_the_papers(
    layers: list[list[float]], prune_ratio: float
) -> None:
    mask = global_mask(tensors(layers), prune_ratio)
    assert list(mask.layers.values()) == obvious_mask(layers, prune_ratio)


@given(
    layers=scores,
    prune_ratio=st.sampled_from([0.3, 0.5, 0.9]),
    floor=st.integers(0, 5),
    multiple=st.integers(1, 8),
)
def test_floor_and_rounding_only_add_the_best_of_the_rest(
    layers: list[list[float]], prune_ratio: float, floor: int, multiple: int
) -> None:
    raw = global_mask(tensors(layers), prune_ratio)
    mask = global_mask(tensors(layers), prune_ratio, floor, multiple)
    for name, layer in zip(mask.layers, layers, strict=True):
        bits, width = mask.layers[name], mask.widths()[name]
        assert width >= min(floor, len(layer))
        assert width in (len(layer), max(floor, -(-raw.widths()[name] // multiple) * multiple))
        kept = [score for score, bit in zip(layer, bits, strict=True) if bit == "1"]
        dropped = [score for score, bit in zip(layer, bits, strict=True) if bit == "0"]
        assert min(kept, default=np.inf) >= max(dropped, default=-np.inf)


def test_before_training_all_scales_are_equal_and_the_papers_mask_is_empty() -> None:
    assert global_mask({"a": torch.full((8,), 0.5)}, 0.5).kept == 0


def test_layers_of_a_residual_stage_are_one_group_with_the_mean_score() -> None:
    network = make("residual")
    groups = [group.layers for group in channel_groups(network, images())]
    assert ("stem.1", "first.2.1") in groups
    assert ("second.2.1", "projection.1") in groups
    layers = scaled_batch_norms(network)
    expected = (layers["stem.1"].weight.abs() + layers["first.2.1"].weight.abs()) / 2
    torch.testing.assert_close(channel_scores(network, images())["stem.1"], expected.detach())


@pytest.mark.parametrize("family", ["vgg", "residual", "flattening"])
def test_asking_leaves_the_network_as_it_was(family: str) -> None:
    network = make(family).train()
    next(network.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bn_channel_mask(0.5)(network, images())
    assert network.training
    assert not next(network.parameters()).requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_mask_distance_is_the_share_of_differing_channels() -> None:
    one = ChannelMask({"a": "1100", "b": "11"})
    assert one.distance(one) == 0
    assert one.distance(ChannelMask({"a": "1010", "b": "11"})) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="different networks"):
        one.distance(ChannelMask({"a": "11"}))
