"""Weight masks: exact fractions, nested, global."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torchvision.models import ConvNeXt, VisionTransformer
from torchvision.models.convnext import CNBlockConfig

from harness import erdos_renyi, magnitude
from harness.pruning.weights import erdos_renyi_densities, prunable_weights, prune_weights
from harness.settings.catalogue import MODELS
from tests.networks import CLASSES, images, make


@given(
    values=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]),
)
def test_exactly_the_fraction_goes_ties_included(values: list[int], fraction: float) -> None:
    half = len(values) // 2
    scores = {"a": torch.tensor(values[:half]), "b": torch.tensor(values[half:])}
    masks = prune_weights(scores, {}, fraction)
    dropped = sum(int((mask == 0).sum()) for mask in masks.values())
    assert dropped == round(len(values) * fraction)
    everything = torch.cat([scores["a"], scores["b"]])
    alive = torch.cat([masks["a"], masks["b"]]).bool()
    if alive.any() and (~alive).any():
        assert everything[alive].min() >= everything[~alive].max()


def test_rounds_are_nested_and_leave_080_to_the_n() -> None:
    network = make("vgg")
    scores = magnitude(network, images())
    masks: dict[str, torch.Tensor] = {}
    for level in range(1, 4):
        newer = prune_weights(scores, masks, 0.2)
        for name, mask in masks.items():
            assert torch.all(newer[name] <= mask)
        masks = newer
        alive = sum(float(mask.sum()) for mask in masks.values())
        total = sum(mask.numel() for mask in masks.values())
        assert alive / total == pytest.approx(0.8**level, abs=1e-4)


def test_only_weights_are_pruned_no_biases_no_scales() -> None:
    network = make("flattening")
    assert set(prunable_weights(network)) == {
        "features.0.0.weight",
        "features.2.0.weight",
        "head.weight",
    }


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS.is_own(name)])
def test_of_own_networks_every_weight_of_several_dimensions_is_prunable(name: str) -> None:
    with torch.device("meta"):
        network = MODELS.load(name)(3, CLASSES)
    expected = [name for name, weight in network.named_parameters() if weight.ndim > 1]
    assert list(prunable_weights(network)) == expected


def test_layer_scales_class_tokens_and_position_embeddings_stay_dense() -> None:
    blocks = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]
    convnext = ConvNeXt(blocks, num_classes=CLASSES)
    transformer = VisionTransformer(8, 4, 1, 2, 16, 32, num_classes=CLASSES)
    dense = {
        name
        for network in (convnext, transformer)
        for name, weight in network.named_parameters()
        if weight.ndim > 1 and name not in prunable_weights(network)
    }
    assert dense == {
        "features.1.0.layer_scale",
        "features.3.0.layer_scale",
        "class_token",
        "encoder.pos_embedding",
    }
    attention = "encoder.layers.encoder_layer_0.self_attention"
    assert {f"{attention}.in_proj_weight", f"{attention}.out_proj.weight"} <= set(
        prunable_weights(transformer)
    )


def names_of(*layers: nn.Module) -> list[str]:
    return list(prunable_weights(nn.Sequential(*layers)))


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.ConvTranspose2d(2, 3, 3), ["weight"]),
        (nn.Embedding(5, 3), ["weight"]),
        (nn.GRU(2, 3), ["weight_ih_l0", "weight_hh_l0"]),
        (nn.LSTMCell(2, 3), ["weight_ih", "weight_hh"]),
        (
            nn.MultiheadAttention(4, 2, kdim=3, vdim=3, add_bias_kv=True),
            ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"],
        ),
        (parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), ["parametrizations.weight.original1"]),
        (parametrizations.spectral_norm(nn.Linear(2, 3)), ["parametrizations.weight.original"]),
        (parametrizations.orthogonal(nn.Linear(3, 3)), []),
        (nn.LayerNorm([2, 3]), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_weights_of_a_layer_are_prunable_by_its_kind(
    layer: nn.Module, names: list[str]
) -> None:
    assert names_of(layer) == [f"0.{name}" for name in names]


def test_of_the_older_weight_norm_the_direction_is_prunable() -> None:
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.Linear(2, 3))
    assert names_of(layer) == ["0.weight_v"]


def test_masked_weights_under_a_normalisation_stay_zero() -> None:
    layer = parametrizations.weight_norm(nn.Linear(8, 4))
    masks = prune_weights(magnitude(layer, images()), {}, 0.25)
    for name, weight in prunable_weights(layer).items():
        weight.data *= masks[name]
    assert int((layer.weight == 0).sum()) == 8
    assert parametrize.is_parametrized(layer)


def test_a_shared_weight_is_prunable_once_and_a_frozen_one_never() -> None:
    embedding, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    head.weight = embedding.weight
    assert names_of(embedding, head) == ["0.weight"]
    embedding.weight.requires_grad_(False)
    assert names_of(embedding, head, nn.Linear(7, 2)) == ["2.weight"]


def test_masks_are_float32_whatever_the_scores_are() -> None:
    masks = prune_weights({"a": torch.rand(10, dtype=torch.float64)}, {}, 0.5)
    assert masks["a"].dtype == torch.float32


SHAPES = {"first": (16, 3, 3, 3), "wide": (64, 64, 3, 3), "point": (64, 16, 1, 1), "head": (10, 64)}


def capped_by_bisection(density: float) -> dict[str, float]:
    """Without any of our steps: the one scale under which capped densities give the total."""
    sizes = {name: torch.zeros(shape).numel() for name, shape in SHAPES.items()}

    def at(scale: float) -> dict[str, float]:
        return {name: min(scale * sum(s) / sizes[name], 1.0) for name, s in SHAPES.items()}

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(share * sizes[name] for name, share in at(middle).items())
        low, high = (middle, high) if total < density * sum(sizes.values()) else (low, middle)
    return at(low)


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3, 0.7])
def test_erdos_renyi_densities_follow_the_formula(density: float) -> None:
    found = erdos_renyi_densities(SHAPES, density)
    assert found == pytest.approx(capped_by_bisection(density), rel=1e-6)


def test_both_kinds_of_tensor_occur_above() -> None:
    assert max(erdos_renyi_densities(SHAPES, 0.02).values()) < 1
    assert list(erdos_renyi_densities(SHAPES, 0.3).values()).count(1.0) in (2, 3)


@pytest.mark.parametrize("family", ["vgg", "residual"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_a_global_threshold_on_erdos_renyi_scores_leaves_its_densities(
    family: str, sparsity: float
) -> None:
    network = make(family)
    first, *others = prunable_weights(network).items()
    weights = dict(others)
    torch.manual_seed(0)
    masks = prune_weights(erdos_renyi(1 - sparsity)(network, images()), {}, sparsity)
    assert masks.keys() == weights.keys(), f"{first[0]} stays dense"
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name, share in erdos_renyi_densities(shapes, 1 - sparsity).items():
        assert masks[name].shape == weights[name].shape
        assert abs(int(masks[name].sum()) - share * weights[name].numel()) <= 1, name
    total = sum(weight.numel() for weight in weights.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - round(total * sparsity)


def test_erdos_renyi_places_are_random_and_follow_from_the_seed() -> None:
    network = make("vgg")
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(prune_weights(erdos_renyi(0.1)(network, images()), {}, 0.9))
    same, again, other = drawn
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert any(not torch.equal(same[name], other[name]) for name in same)
