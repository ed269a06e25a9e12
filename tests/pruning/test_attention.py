"""Converted attention computes what the original computes, however it is called."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.pruning.attention import Attention
from harness.pruning.batch import Batch
from harness.pruning.channels import channel_groups, missing_gates, shrink
from harness.pruning.converted_attention import convert_attention, restore_attention
from harness.pruning.gates import fold_gates
from harness.pruning.questions import uniform_channels
from tests.gated import Encoder, make

NEAR = {"rtol": 0.0, "atol": 1e-12}


def pairs(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A network, and its converted copy."""
    return network, convert_attention(copy.deepcopy(network))


def attention(**options: Any) -> nn.MultiheadAttention:
    """Torch's, in float64, its biases other than zero."""
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 4, **options).double()
    for name, parameter in module.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return module


class Holder(nn.Module):
    """Attention has to be within something to be replaced."""

    def __init__(self, within: nn.Module) -> None:
        super().__init__()
        self.within = within

    def forward(self, *inputs: Tensor, **options: Any) -> Any:
        return self.within(*inputs, **options)


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


PADDED = torch.tensor([[False] * 4 + [True], [False] * 5, [False] * 5])
CAUSAL = torch.ones(5, 5, dtype=torch.bool).triu(1)


@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"bias": False, "batch_first": True}]
)
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"key_padding_mask": PADDED},
        {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False},
        {"attn_mask": values(12, 5, 5), "key_padding_mask": PADDED.double() * -9},
    ],
)
@pytest.mark.parametrize("train", [True, False])
def test_torchs_attention(options: dict[str, Any], call: dict[str, Any], train: bool) -> None:
    original, own = pairs(Holder(attention(**options)))
    assert isinstance(own.within, Attention)
    samples = values(3, 5, 16)
    inputs = samples if options.get("batch_first") else samples.transpose(0, 1)
    expected, expected_weights = original.train(train)(inputs, inputs, inputs, **call)
    found, weights = own.train(train)(inputs, inputs, inputs, **call)
    torch.testing.assert_close(found, expected, **NEAR)
    if expected_weights is not None:
        torch.testing.assert_close(weights, expected_weights, **NEAR)
    assert (weights is None) == (expected_weights is None)


def test_keys_and_values_may_have_widths_of_their_own_and_samples_may_come_alone() -> None:
    original, own = pairs(Holder(attention(kdim=6, vdim=10)))
    inputs = values(5, 16), values(7, 6), values(7, 10)
    for expected, found in zip(original(*inputs), own(*inputs), strict=True):
        torch.testing.assert_close(found, expected, **NEAR)


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_what_has_keys_besides_its_inputs_is_left_as_it_is(options: dict[str, Any]) -> None:
    _, own = pairs(Holder(attention(**options)))
    assert isinstance(own.within, nn.MultiheadAttention)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # torch's own path
@pytest.mark.parametrize("batch_first", [True, False])
def test_layers_around_it_take_no_path_that_reads_weights_which_are_not_there(
    batch_first: bool,
) -> None:
    torch.manual_seed(0)
    original, own = pairs(Encoder(batch_first=batch_first).double())
    inputs = values(3, 5, 16)
    padding = PADDED if batch_first else PADDED.new_zeros(5, 3)
    with torch.no_grad():
        expected = original.eval().layers(inputs, src_key_padding_mask=padding)
        found = own.eval().layers(inputs, src_key_padding_mask=padding)
        # Torch's own path gives zeros where there is padding.
        torch.testing.assert_close(found[:, :4], expected[:, :4], **NEAR)


def test_a_decoder_attends_to_both() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(16, 4, 32, dropout=0.0, batch_first=True).double()
    original, own = pairs(layer)
    inputs = values(3, 5, 16), values(3, 7, 16)
    torch.testing.assert_close(own(*inputs), original(*inputs), **NEAR)
    assert sum(isinstance(module, Attention) for module in own.modules()) == 2


@pytest.mark.parametrize("qk_norm", [False, True])
def test_timms_attention(qk_norm: bool) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    original = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=1, num_classes=5, qk_norm=qk_norm
    ).double()
    nn.init.normal_(original.head.weight)
    original, own = pairs(original)
    images = values(2, 3, 32, 32)
    torch.testing.assert_close(own(images), original(images), **NEAR)
    assert any(isinstance(module, Attention) for module in own.modules())


def test_the_inner_width_is_free_of_the_embeddings() -> None:
    network, samples = make("ViT")
    missing_gates(network, samples).insert(network)
    mask = uniform_channels(0.5)(network, Batch(samples, torch.zeros(2, dtype=torch.int64)))
    shrink(network, mask, samples)
    found = [module for module in network.modules() if isinstance(module, Attention)]
    assert [(each.heads, each.q.out_features, each.o.out_features) for each in found] == [
        (2, 8, 16),
        (2, 8, 16),
    ]
    assert all(group.size in (2, 16) for group in channel_groups(network, samples))


def test_drawn_again_projections_follow_the_distribution_of_torchs() -> None:
    torch.manual_seed(0)
    own = convert_attention(Holder(nn.MultiheadAttention(64, 4))).within
    for layer in (own.q, own.k, own.v):
        layer.reset_parameters()
        assert not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx((2 / (64 + 3 * 64)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("family", ["ViT", "Swin", "Swin 2", "encoder"])
def test_where_all_heads_are_left_the_original_modules_come_back(family: str) -> None:
    network, samples = make(family)
    own = convert_attention(copy.deepcopy(network))
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if ".k.bias" not in name:
                parameter.add_(torch.randn_like(parameter) / 10)
    expected = own(samples)
    original, _ = make(family)
    restored = restore_attention(own, original)
    assert not any(isinstance(module, Attention) for module in restored.modules())
    assert restored.state_dict().keys() == network.state_dict().keys()
    torch.testing.assert_close(restored(samples), expected, **NEAR)


def test_timms_module_comes_back_with_fewer_heads() -> None:
    timm = pytest.importorskip("timm")

    def made() -> nn.Module:
        torch.manual_seed(0)
        build = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=5)
        nn.init.normal_(build.head.weight)
        return build.double()

    network, images = made(), values(1, 3, 32, 32)
    missing_gates(network, images).insert(network)
    mask = uniform_channels(0.6)(network, Batch(images, torch.zeros(1, dtype=torch.int64)))
    shrink(network, mask, images)
    expected = fold_gates(network)(images)
    restored = restore_attention(network, made())
    assert not any(isinstance(module, Attention) for module in restored.modules())
    torch.testing.assert_close(restored(images), expected, **NEAR)
