"""MACs: as torchvision has them, as they follow by hand, and never silently none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchvision.models
from torch import Tensor, nn

from harness.pruning.cost import size_of

NETWORKS = [
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "swin_t",
    "vgg16_bn",
    "vit_b_16",
]
STEPS, WIDTH, HIDDEN = 10, 16, 32


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_torchvision_s_own(name: str) -> None:
    [*_, weights] = torchvision.models.get_model_weights(name)
    if name == "vit_b_16":
        weights = torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1  # others see larger pictures
    side = weights.transforms.keywords["crop_size"]
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    size = size_of(network, torch.zeros(1, 3, side, side, device="meta"), {})
    # What torchvision calls GFLOPs, with three decimals, counts multiply-accumulates.
    assert size.macs / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.01)
    assert size.parameters == weights.meta["num_params"]
    assert size.uncounted == ()


class Itself(nn.Module):
    """A module that takes its input several times."""

    def __init__(self, module: nn.Module, times: int) -> None:
        super().__init__()
        self.module = module
        self.times = times

    def forward(self, batch: Tensor) -> Tensor:
        found = self.module(*[batch] * self.times)
        return found[0] if isinstance(found, tuple) else found


def attention(width: int) -> int:
    """Of one sample: four projections, and the products of queries, keys and values."""
    return 4 * STEPS * width * width + 2 * STEPS * STEPS * width


@pytest.mark.parametrize(
    ("network", "macs"),
    [
        (nn.RNN(WIDTH, HIDDEN, batch_first=True), STEPS * HIDDEN * (WIDTH + HIDDEN)),
        (nn.LSTM(WIDTH, HIDDEN, batch_first=True), STEPS * 4 * HIDDEN * (WIDTH + HIDDEN)),
        (nn.GRU(WIDTH, HIDDEN, batch_first=True), STEPS * 3 * HIDDEN * (WIDTH + HIDDEN)),
        (Itself(nn.MultiheadAttention(WIDTH, 4, batch_first=True), 3), attention(WIDTH)),
        (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 4, 64, batch_first=True), 2),
            2 * (attention(WIDTH) + 2 * STEPS * WIDTH * 64),
        ),
    ],
    ids=["rnn", "lstm", "gru", "attention", "encoder"],
)
def test_attention_and_recurrence_are_counted(network: nn.Module, macs: int) -> None:
    switches = (torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled)
    onednn = torch._C._get_mkldnn_enabled()
    size = size_of(network, torch.zeros(3, STEPS, WIDTH), {})
    assert (size.macs, size.uncounted) == (macs, ())
    assert switches == (torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled)
    assert onednn == torch._C._get_mkldnn_enabled()


class Spectrum(nn.Module):
    """What has products, and no formula."""

    def forward(self, batch: Tensor) -> Tensor:
        return torch.fft.rfft(batch).abs()


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (Itself(nn.Bilinear(WIDTH, WIDTH, 4), 2), "aten._trilinear.default"),
        (nn.Sequential(nn.Linear(WIDTH, WIDTH), Spectrum()), "aten._fft_r2c.default"),
    ],
)
def test_an_operator_without_a_formula_is_named(network: nn.Module, name: str) -> None:
    assert size_of(network.train(), torch.zeros(1, WIDTH), {}).uncounted == (name,)
    assert network.training


def test_an_operator_of_another_package_is_named() -> None:
    @torch.library.custom_op("harness_test::twice", mutates_args=())
    def twice(batch: Tensor) -> Tensor:
        return batch * 2

    class Twice(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return twice(batch)

    network = nn.Sequential(nn.Linear(WIDTH, 4), Twice())
    size = size_of(network, torch.zeros(1, WIDTH), {})
    assert (size.macs, size.uncounted) == (WIDTH * 4, ("harness_test.twice.default",))


def test_what_the_field_does_not_count_is_not_named() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.AdaptiveMaxPool2d(4),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Dropout(),
        nn.Flatten(),
        nn.LayerNorm(256),
        nn.Linear(256, 4),
        nn.LogSoftmax(1),
    )
    assert size_of(network, torch.zeros(2, 3, 16, 16), {}).uncounted == ()


@pytest.mark.parametrize(
    "layer",
    [
        nn.CELU,
        nn.ELU,
        nn.Hardsigmoid,
        nn.LeakyReLU,
        nn.Mish,
        nn.ReLU6,
        nn.SELU,
        partial(nn.Threshold, 0.1, 0.0),
    ],
)
def test_a_layer_counts_the_same_in_place(layer: Callable[..., nn.Module]) -> None:
    """Of several in-place operators torch does not tell that they work element by element."""
    network = nn.Sequential(nn.Linear(WIDTH, 4), layer(inplace=True))
    size = size_of(network, torch.zeros(1, WIDTH), {})
    assert (size.macs, size.uncounted) == (WIDTH * 4, ())
