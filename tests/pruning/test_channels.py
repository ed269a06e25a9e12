"""Channel masks follow the paper's rule; floor, rounding and coupled layers follow ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import ChannelMask, bn_channel_mask
from harness.pruning.batch import Batch
from harness.pruning.channels import global_mask, threshold_mask
from harness.pruning.groups import scaled_norms
from harness.pruning.unit_scores import scale
from tests.networks import FAMILIES, images, make

scores = st.lists(
    st.lists(st.integers(0, 40).map(lambda tenth: tenth / 10), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)
bits = st.text("01", min_size=1, max_size=12)


def obvious_mask(layers: list[list[float]], prune_ratio: float) -> list[str]:
    """The paper's rule as one would write it by hand: sort, take the threshold, compare."""
    everything = sorted(score for layer in layers for score in layer)
    return obvious_threshold(layers, everything[int(len(everything) * prune_ratio)])


def obvious_threshold(layers: list[list[float]], threshold: float) -> list[str]:
    return ["".join("1" if score > threshold else "0" for score in layer) for layer in layers]


def tensors(layers: list[list[float]]) -> dict[str, torch.Tensor]:
    return {f"layer{i}": torch.tensor(layer) for i, layer in enumerate(layers)}


def batch() -> Batch:
    return Batch(images(), torch.zeros(len(images()), dtype=torch.int64))


@given(layers=scores, prune_ratio=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_without_floor_and_rounding_the_mask_is_the_papers(
    layers: list[list[float]], prune_ratio: float
) -> None:
    mask = global_mask(tensors(layers), prune_ratio)
    assert list(mask.layers.values()) == obvious_mask(layers, prune_ratio)


@given(layers=scores, threshold=st.sampled_from([0.0, 0.5, 2.0, 4.0, 9.0]))
def test_an_absolute_threshold_keeps_what_is_strictly_above(
    layers: list[list[float]], threshold: float
) -> None:
    mask = threshold_mask(tensors(layers), threshold)
    assert list(mask.layers.values()) == obvious_threshold(layers, threshold)


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
        kept_bits, width = mask.layers[name], mask.widths()[name]
        assert width >= min(floor, len(layer))
        assert width in (len(layer), max(floor, -(-raw.widths()[name] // multiple) * multiple))
        kept = [score for score, bit in zip(layer, kept_bits, strict=True) if bit == "1"]
        dropped = [score for score, bit in zip(layer, kept_bits, strict=True) if bit == "0"]
        assert min(kept, default=np.inf) >= max(dropped, default=-np.inf)


def test_before_training_all_scales_are_equal_and_the_papers_mask_is_empty() -> None:
    assert global_mask({"a": torch.full((8,), 0.5)}, 0.5).kept == 0


def test_the_score_of_coupled_layers_is_the_mean_over_the_group() -> None:
    network = make("residual")
    layers = scaled_norms(network)
    expected = (layers["stem.1"].weight.abs() + layers["first.2.1"].weight.abs()) / 2
    torch.testing.assert_close(scale(network, batch())["stem.1"], expected.detach())


def test_under_a_concatenation_a_channel_is_scored_where_it_is() -> None:
    network = make("densenet")
    layers = scaled_norms(network)
    readers = [
        layers["features.denseblock1.denselayer2.norm1"].weight[16:24],
        layers["features.transition1.norm"].weight[16:24],
    ]
    expected = torch.stack(readers).abs().mean(dim=0)
    score = scale(network, batch())["features.denseblock1.denselayer2.norm1"]
    torch.testing.assert_close(score, expected.detach())


@pytest.mark.parametrize("family", FAMILIES)
def test_asking_leaves_the_network_as_it_was(family: str) -> None:
    network = make(family).train()
    next(network.children()).eval()
    next(network.parameters()).requires_grad_(False)
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    bn_channel_mask(0.5)(network, batch())
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == modes
    assert not next(network.parameters()).requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_question_is_the_global_mask_of_the_scores() -> None:
    network = make("residual")
    expected = global_mask(scale(network, batch()), 0.5, 3, 4)
    assert bn_channel_mask(0.5, min_channels=3, round_to=4)(network, batch()) == expected


def test_mask_distance_is_the_share_of_differing_channels() -> None:
    one = ChannelMask({"a": "1100", "b": "11"})
    assert one.distance(one) == 0
    assert one.distance(ChannelMask({"a": "1010", "b": "11"})) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="different networks"):
        one.distance(ChannelMask({"a": "11"}))


@given(first=bits, data=st.data())
def test_one_mask_then_another_keeps_what_both_keep(first: str, data: st.DataObject) -> None:
    kept = [channel for channel, bit in enumerate(first) if bit == "1"]
    later = data.draw(st.text("01", min_size=len(kept), max_size=len(kept)))
    both = ChannelMask({"a": first}).then(ChannelMask({"a": later}))
    survivors = [channel for channel, bit in zip(kept, later, strict=True) if bit == "1"]
    assert [channel for channel, bit in enumerate(both.layers["a"]) if bit == "1"] == survivors
    assert len(both.layers["a"]) == len(first)


def test_a_later_mask_must_be_of_what_the_first_one_leaves() -> None:
    first = ChannelMask({"a": "1101"})
    for later in ({"a": "1111"}, {"b": "111"}, {}):
        with pytest.raises(ValueError, match="later channel mask is of another network"):
            first.then(ChannelMask(later))
