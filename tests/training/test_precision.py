"""Arithmetic: what is refused, what is shared, and what 8 bits do to numbers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from harness import Train
from harness.errors import RunError
from harness.settings.settings import Training
from harness.training.loop import score, train_epoch
from harness.training.precision import autocast, in_precision, quantise, refusal
from tests.networks import images, make
from tests.training.conftest import MakeState

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8_simulated"])
def test_a_cpu_computes_in(precision: str) -> None:
    assert refusal(precision, CPU) is None


@pytest.mark.parametrize("precision", ["tf32", "fp8"])
def test_a_cpu_refuses_what_only_gpus_have(precision: str) -> None:
    assert refusal(precision, CPU) == f"{precision} needs an NVIDIA GPU, and torch sees none"


@pytest.mark.parametrize(
    ("capability", "precision", "message"),
    [
        ((7, 0), "tf32", "Ampere"),
        ((8, 0), "tf32", None),
        ((8, 0), "fp8", "Ada, Hopper or newer"),
        ((9, 0), "fp8", "needs torchao: pip install 'energy-harness[fp8]'"),
    ],
)
def test_a_gpu_is_asked_for_what_it_can(
    capability: tuple[int, int],
    precision: str,
    message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    reason = refusal(precision, torch.device("cuda"))
    assert reason is None if message is None else message in (reason or "")


def test_bf16_reaches_the_products_and_fp32_does_not() -> None:
    layer = nn.Linear(3, 2)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(precision, CPU):
            assert layer(torch.ones(1, 3)).dtype == dtype


@pytest.fixture
def products() -> Iterator[None]:
    """Switches of products that are as they were afterwards."""
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


@pytest.mark.usefixtures("products")
@pytest.mark.filterwarnings("ignore:CUDA is not available", "ignore:User provided device_type")
def test_every_switch_of_tf32_can_be_read_and_agrees() -> None:
    """Inductor and other libraries read the older ones, which raise where they disagree."""
    for precision in ("fp32", "tf32", "bf16", "tf32", "fp8", "fp32", "int8_simulated", "tf32"):
        autocast(precision, torch.device("cuda"))
        is_allowed = precision == "tf32"
        assert torch.backends.cuda.matmul.allow_tf32 is is_allowed
        assert torch.backends.cudnn.allow_tf32 is is_allowed
        assert torch.get_float32_matmul_precision() == ("high" if is_allowed else "highest")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=is_allowed):
            assert torch.backends.cudnn.allow_tf32 is is_allowed
        assert (torch.backends.cuda.matmul.fp32_precision == "tf32") is is_allowed
        assert (torch.backends.cudnn.conv.fp32_precision == "tf32") is is_allowed


def test_another_precision_trains_the_very_same_parameters() -> None:
    network = make("vgg")
    twin = in_precision(network, "int8_simulated")
    assert twin is not network
    ours, theirs = dict(network.named_parameters()), dict(twin.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)
    buffers = dict(network.named_buffers())
    assert all(buffer is buffers[name] for name, buffer in twin.named_buffers())
    # Nothing of the simulation stays on the network that is pruned and evaluated.
    network.eval(), twin.eval()
    assert torch.equal(network(images()), network(images()))
    assert not torch.equal(twin(images()), network(images()))


def test_fp8_says_that_convolutions_have_none() -> None:
    pytest.importorskip("torchao.float8", reason="torchao is an extra")
    with pytest.raises(RunError, match="no 8-bit convolutions"):
        in_precision(make("vgg"), "fp8")


def test_quantised_values_lie_on_a_grid_of_8_bits_a_block() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 3, 4, generator=generator) * torch.logspace(-6, 4, 6)[:, None, None]
    torch.manual_seed(0)
    for block, original in zip(quantise(values), values, strict=True):
        step = 2.0 ** (torch.floor(torch.log2(original.abs().max())) - 6)
        counts = block / step
        assert torch.equal(counts, counts.round())
        assert counts.abs().max() <= 128
        assert (block - original).abs().max() <= step


def test_rounding_is_unbiased_and_zeros_stay() -> None:
    torch.manual_seed(0)
    value = torch.tensor([[1.0, 0.3, -0.0042, 0.0]])
    mean = torch.stack([quantise(value) for _ in range(20_000)]).mean(dim=0)
    torch.testing.assert_close(mean, value, atol=2e-4, rtol=0)
    assert torch.equal(quantise(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("precision", ["bf16", "int8_simulated"])
def test_a_phase_may_train_in_another_precision_and_learns(
    precision: str, make_state: MakeState
) -> None:
    state, plain = make_state(), make_state()
    recipe = Training(epochs=3, batch_size=128, schedule="cosine")
    for _ in range(3):
        loss = float(train_epoch(state, Train("search", 1, precision=precision), recipe, seed=0))
        fp32 = float(train_epoch(plain, Train("search", 1), recipe, seed=0))
    assert loss == pytest.approx(fp32, rel=0.1)
    assert loss != fp32
    assert score(state, state.workload.validation, recipe) > 0.5
    assert all(weight.dtype == torch.float32 for weight in state.network.parameters())
    if precision == "int8_simulated":
        weight = state.network.get_submodule("0").weight.detach()
        torch.manual_seed(1)
        assert torch.equal(quantise(weight), weight)
