"""Data from outside are looked at once, and what is wrong is reported before training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.errors import RunError, UsageError
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.images import ImageFiles, Images
from harness.workloads.loaded import checked
from harness.workloads.open import loaders_from_memory, resident_sources
from harness.workloads.shape import Shape, look_at
from harness.workloads.source import LoadingContext

CHOICE = WorkloadChoice(data="digits", model="vgg_small", workers=0)


def images(channels: int = 3) -> Images:
    pixels = torch.randint(0, 256, (48, channels, 8, 8), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(48) % 4
    pixels = pixels.to(torch.uint8)
    return Images(pixels[:32], labels[:32], pixels[32:], labels[32:], 4)


def as_floats(found: Images, scale: float = 1 / 255) -> Images:
    train, test = (part.float() * scale for part in (found.train_images, found.test_images))
    return replace(found, train_images=train, test_images=test)


def with_nan() -> Images:
    found = as_floats(images())
    found.train_images[3, 1, 2, 2] = float("nan")
    return found


FAULTS = {
    "255": (as_floats(images(), 1.0), "train_images", "divide by 255"),
    "negative": (as_floats(images(), -1 / 255), "train_images", "from -1 to"),
    "nan": (with_nan(), "train_images", "not finite"),
    "double": (
        replace(images(), test_images=images().test_images.double()),
        "test_images",
        "float64",
    ),
    "mixed": (
        replace(as_floats(images()), test_images=images().test_images),
        "test_images",
        "but train_images are float32",
    ),
    "labels": (
        replace(images(), train_labels=images().train_labels[:30]),
        "train_labels",
        "30 for 32 images",
    ),
    "too high": (replace(images(), classes=3), "train_labels", "0 to 3; 3 classes"),
    "below 0": (
        replace(images(), test_labels=images().test_labels - 1),
        "test_labels",
        "-1 to 2",
    ),
    "int32": (
        replace(images(), train_labels=images().train_labels.int()),
        "train_labels",
        "int64",
    ),
    "channels": (
        replace(images(), test_images=images(1).test_images),
        "test_images",
        "(1, 8, 8)",
    ),
    "size": (
        replace(images(), test_images=images().test_images[..., :7]),
        "test_images",
        "(3, 8, 7)",
    ),
    "flat": (
        replace(images(), train_images=images().train_images.flatten(1)),
        "train_images",
        "(32, 192)",
    ),
    "none": (replace(images(), test_images=images().test_images[:0]), "test_images", "hold some"),
    "files": (
        ImageFiles(["a.png"], torch.tensor([0, 1]), ["b.png"], torch.tensor([0]), ("a", "b")),
        "train_labels",
        "2 for 1 images",
    ),
    "something else": ([1, 2], "list", "harness.Images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault: str) -> None:
    loaded, place, what = FAULTS[fault]
    with pytest.raises(RunError) as caught:
        checked(loaded, CHOICE)
    assert place in str(caught.value)
    assert what in str(caught.value)
    assert "digits" in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("floats", [False, True])
def test_both_pipelines_give_the_same_pixels(channels: int, floats: bool) -> None:
    found = as_floats(images(channels)) if floats else images(channels)
    assert checked(found, CHOICE) is found
    place = LoadingContext(CHOICE, Training(), torch.device("cpu"))
    rest, held_out = torch.arange(24), torch.arange(24, 32)
    opened = [
        make(found, rest, held_out, place) for make in (resident_sources, loaders_from_memory)
    ]
    for part in ("validation", "test"):
        resident, loader = (
            torch.cat([batch.inputs for batch in getattr(each, part).in_order(16)])
            for each in opened
        )
        assert torch.allclose(resident, loader, atol=1e-5)


def test_other_channels_are_no_pictures() -> None:
    place = LoadingContext(CHOICE, Training(), torch.device("cpu"))
    with pytest.raises(RunError, match="resident"):
        loaders_from_memory(images(2), torch.arange(24), torch.arange(24, 32), place)


@pytest.mark.parametrize("wrong", ["255", "raises"])
def test_data_of_another_package_are_looked_at_before_a_run(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_choice: Any) -> Any:
        if wrong == "raises":
            raise KeyError("no such column")
        return FAULTS[wrong][0]

    monkeypatch.setattr("harness.settings.catalogue.Catalogue.load", lambda *_: load)
    with pytest.raises(UsageError) as caught:
        look_at(CHOICE)
    output = {
        "255": "train_images: have pixels from 0 to 255; pixels are float32 from 0 to 1, or uint8; "
        "divide by 255, or convert to uint8",
        "raises": "does not load: KeyError: 'no such column'",
    }
    assert str(caught.value) == f"workload.data 'digits': {output[wrong]}"


def test_sound_data_of_another_package_have_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harness.settings.catalogue.Catalogue.load", lambda *_: lambda _choice: images()
    )
    looked_at = look_at(CHOICE)
    assert looked_at.shape == Shape((3, 8, 8), looked_at.shape.outputs)
    found = looked_at.identity
    assert found == identity_of(CHOICE, images())
    assert (found["train"], found["test"]) == (32, 16)
