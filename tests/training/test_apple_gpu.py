"""An Apple GPU, to the extent that a machine without one can show it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from harness.runner.device_check import why_not
from harness.training import device as devices
from harness.training.precision import autocast, refusal
from harness.workloads.loader import Shipping
from harness.workloads.transforms import Normalisation
from methods.synflow import synflow
from tests.networks import images, make
from tests.test_admission import spec_of

APPLE = torch.device("mps")


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = before


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(
    ("sees", "has_zeus", "index", "kind"),
    [
        (True, True, None, "mps"),
        (True, False, None, "cpu"),
        (False, True, None, "cpu"),
        (True, True, 0, "cpu"),
    ],
)
def test_it_is_used_where_torch_sees_it_and_its_energy_can_be_read(
    sees: bool, has_zeus: bool, index: int | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: sees)
    monkeypatch.setattr(devices, "find_spec", lambda _name: object() if has_zeus else None)
    assert devices.open_device(deterministic=False, index=index).type == kind


def test_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[None] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append(None))
    devices.wait_for(APPLE)
    devices.wait_for(torch.device("cpu"))
    assert waited == [None]
    assert devices.gpu_uuids(APPLE) == []
    assert not devices.searches_algorithms(APPLE)


def test_what_it_cannot_do_is_refused() -> None:
    for precision in ("bf16", "tf32", "fp8"):
        assert refusal(precision, APPLE) == (
            f"{precision} is not supported on an Apple GPU; use fp32"
        )
    assert refusal("fp32", APPLE) is None
    with autocast("fp32", APPLE):
        pass
    assert "training.compile" in str(why_not(spec_of("vgg16", compile=True), APPLE))
    assert "training.graphs" in str(why_not(spec_of("vgg16", graphs=True), APPLE))
    assert why_not(spec_of("vgg16"), APPLE) is None


def test_scores_that_need_float64_are_on_the_cpu() -> None:
    network = make("vgg")

    class OnApple:
        """Inputs as if they were there."""

        device = APPLE

        def __getitem__(self, which: slice) -> torch.Tensor:
            return images()[which]

    batch = SimpleNamespace(inputs=OnApple())
    scores = synflow(network, batch)  # type: ignore[arg-type]
    assert {score.device.type for score in scores.values()} == {"cpu"}
    assert all(score.dtype == torch.float64 for score in scores.values())


def test_copies_to_it_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def moved(tensor: torch.Tensor, _device: object, *, non_blocking: bool) -> torch.Tensor:
        asked.append(non_blocking)
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", moved)
    ship = Shipping(APPLE, torch.contiguous_format, Normalisation.of(images()))
    ship(images(), torch.zeros(4, dtype=torch.int64))
    assert asked == [False, False]
