"""Image folders, resident and read by workers: whole ones, and each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from harness.errors import RunError
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads import data_fingerprint
from harness.workloads.files import PICTURES, left_out, pictures_below
from harness.workloads.workload import Workload, open_workload
from tests.workloads import files

KINDS = pytest.mark.parametrize("input_", ["resident", "loader"])


def choice_of(root: Path, input_: str = "auto", **changes: object) -> WorkloadChoice:
    return WorkloadChoice(
        **{
            "data": "folder",
            "model": "vgg_small",
            "root": str(root),
            "input": input_,
            "workers": 0,
            "validation_share": 0.25,
            **changes,
        }
    )


def opened(
    root: Path, input_: str = "auto", recipe: Training | None = None, **changes: object
) -> Workload:
    choice = choice_of(root, input_, **changes)
    return open_workload(choice, recipe or Training(), torch.device("cpu"))


def pixels(workload: Workload, part: str) -> torch.Tensor:
    return torch.cat([batch.inputs for batch in getattr(workload, part).in_order()])


def test_both_kinds_give_the_same_batches(tmp_path: Path) -> None:
    files.pictures(tmp_path, size=(24, 16))
    resident, loader = (opened(tmp_path, kind, image_size=16) for kind in ("resident", "loader"))
    assert (len(loader.train), len(loader.validation), len(loader.test)) == (12, 4, 16)
    assert resident.outputs == loader.outputs == 2
    for part in ("train", "validation", "test"):
        assert pixels(loader, part).shape[1:] == (3, 16, 16)
        torch.testing.assert_close(pixels(resident, part), pixels(loader, part))
    torch.testing.assert_close(pixels(loader, "train").mean((0, 2, 3)), torch.zeros(3))


@pytest.mark.parametrize("part", ["val", "valid"])
def test_val_is_the_test_set_where_there_is_no_other(part: str, tmp_path: Path) -> None:
    files.pictures(tmp_path, parts=("train", part), each=6)
    assert len(opened(tmp_path).test) == 12


@KINDS
def test_jpegs_of_any_size_are_brought_to_one(input_: str, tmp_path: Path) -> None:
    files.pictures(tmp_path, ending="jpg")
    odd = tmp_path / "train" / "cat" / "odd.JPEG"
    Image.new("RGB", (50, 31), "red").save(odd)
    with pytest.raises(RunError, match=r"odd\.JPEG: 50 x 31 pixels, .*workload\.image_size"):
        opened(tmp_path, input_)
    assert pixels(opened(tmp_path, input_, image_size=20), "train").shape[1:] == (3, 20, 20)


@KINDS
@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK"])
def test_pictures_of_other_modes_become_rgb(mode: str, input_: str, tmp_path: Path) -> None:
    files.pictures(tmp_path)
    ending = "tif" if mode == "CMYK" else "png"
    Image.new("L", (16, 16), 255).convert(mode).save(tmp_path / "test" / "cat" / f"0.{ending}")
    workload = opened(tmp_path, input_)
    white = pixels(workload, "test")[0]
    brightest = (1 - workload_mean(workload)) / workload_spread(workload)
    torch.testing.assert_close(white, brightest.expand_as(white))


def workload_mean(workload: Workload) -> torch.Tensor:
    colours = torch.stack([colour_of(number) for number in training_numbers(workload)])
    return colours.mean(0)[:, None, None]


def workload_spread(workload: Workload) -> torch.Tensor:
    colours = torch.stack([colour_of(number) for number in training_numbers(workload)])
    return colours.repeat_interleave(256, 0).std(0)[:, None, None]


def colour_of(number: int) -> torch.Tensor:
    return torch.tensor([97 * number % 256, 40 * number % 256, 90 * number % 256]) / 255


def training_numbers(workload: Workload) -> list[int]:
    from harness.workloads.images import stratified

    labels = torch.tensor([0] * 8 + [1] * 8)
    rest, _ = stratified(labels, workload.choice.validation_share)
    return [int(index) + 1 for index in rest]


def test_workers_crop_and_flip_files_and_evaluate_the_centre(tmp_path: Path) -> None:
    files.pictures(tmp_path, size=(40, 30))
    recipe = Training(resized_crop=True, flip=True, cutout=6)
    workload = opened(tmp_path, "auto", recipe, image_size=16, workers=2)
    first, again = (list(workload.train.epoch(5, seed)) for seed in (1, 1))
    assert [tuple(batch.inputs.shape) for batch in first] == [(5, 3, 16, 16)] * 2 + [(2, 3, 16, 16)]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.inputs, other.inputs)
    # Of one colour, every picture stays so but for its square, whose colour is the mean.
    blanked = 0
    for picture in torch.cat([batch.inputs for batch in first]):
        colours = picture.flatten(1).unique(dim=1).abs().amax(0)
        assert len(colours) <= 2
        blanked += len(colours) == 2 and float(colours.min()) < 0.02
    assert blanked == 12
    assert pixels(workload, "test").shape == (16, 3, 16, 16)


def test_evaluation_after_resized_crops_cuts_out_the_centre(tmp_path: Path) -> None:
    files.pictures(tmp_path, size=(64, 64))
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("black", (3, 3, 61, 61))
    picture.save(tmp_path / "test" / "cat" / "0.png")
    recipe = Training(resized_crop=True)
    narrow = pixels(opened(tmp_path, "loader", recipe, image_size=28), "test")[0]
    whole = pixels(opened(tmp_path, "loader", image_size=28), "test")[0]
    assert float(whole[0].max()) > float(narrow[0].max()) + 0.5


def empty_class(root: Path) -> str:
    (root / "train" / "emu").mkdir()
    return r"train/emu: no picture in it"


def class_without_test(root: Path) -> str:
    for number in range(4):
        path = root / "train" / "emu" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 16)).save(path)
    return r"test/emu: missing"


def class_without_training(root: Path) -> str:
    (root / "test" / "emu").mkdir()
    return r"train/emu: missing, though .*test/emu is there"


def no_test(root: Path) -> str:
    (root / "test").rename(root / "exam")
    return r"workload\.root: .* test is not there"


def truncated(root: Path) -> str:
    path = root / "train" / "cat" / "0001.png"
    noise = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    return r"0001\.png: cannot be read as a picture"


def no_picture(root: Path) -> str:
    (root / "train" / "cat" / "0001.png").write_text("no picture")
    return r"0001\.png: cannot be read as a picture"


def sixteen_bits(root: Path) -> str:
    Image.new("I;16", (16, 16), 40_000).save(root / "train" / "cat" / "0001.png")
    return r"0001\.png: cannot be read .* more than 8 bits"


@KINDS
@pytest.mark.parametrize(
    "damage",
    [
        empty_class,
        class_without_test,
        class_without_training,
        no_test,
        truncated,
        no_picture,
        sixteen_bits,
    ],
)
def test_what_is_wrong_is_named_when_the_data_are_opened(
    damage: Callable[[Path], str], input_: str, tmp_path: Path
) -> None:
    files.pictures(tmp_path)
    what = damage(tmp_path)
    with pytest.raises(RunError, match=what):
        opened(tmp_path, input_, image_size=16, validation_share=0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_later_ends_the_epoch_in_one_sentence(
    workers: int, tmp_path: Path
) -> None:
    files.pictures(tmp_path)
    workload = opened(tmp_path, "loader", workers=workers)
    (tmp_path / "test" / "dog" / "0030.png").write_bytes(b"")
    with pytest.raises(RunError, match=r"^[^\n]*0030\.png: cannot be read as a picture[^\n]*$"):
        list(workload.test.in_order())


def test_hidden_folders_and_other_files_are_no_classes(tmp_path: Path) -> None:
    files.pictures(tmp_path)
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "cat" / "notes.txt").write_text("cats")
    (tmp_path / "train" / "list.txt").write_text("cats")
    assert opened(tmp_path).outputs == 2


def test_what_macos_leaves_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    files.pictures(tmp_path)
    before = data_fingerprint.identity_of(choice_of(tmp_path))
    for part in ("train", "test"):
        (tmp_path / part / "cat" / "._0001.png").write_bytes(b"\0\5\x16\7")
    assert len(opened(tmp_path).test) == 16
    assert data_fingerprint.identity_of(choice_of(tmp_path)) == before
    assert left_out(choice_of(tmp_path)) == []


@pytest.mark.parametrize("target", [".", "..", "../..", "../dog/back"])
def test_links_that_lead_back_are_not_followed(target: str, tmp_path: Path) -> None:
    files.pictures(tmp_path)
    (tmp_path / "train" / "cat" / "link").symlink_to(target, target_is_directory=True)
    (tmp_path / "train" / "dog" / "back").symlink_to("../cat", target_is_directory=True)
    (tmp_path / "train" / "all").symlink_to(".", target_is_directory=True)
    workload = opened(tmp_path)
    assert workload.outputs == 2
    # A link to another folder is followed, here to the eight pictures of cats.
    pictures = len(workload.train) + len(workload.validation)
    assert pictures == 16 + 8
    identity = data_fingerprint.identity_of(choice_of(tmp_path))
    assert identity["train"] == pictures


def test_what_is_left_out_is_counted_by_suffix(tmp_path: Path) -> None:
    files.pictures(tmp_path)
    for name in ("cat/1.gif", "cat/2.GIF", "dog/1.heic", "dog/README", "list.txt"):
        (tmp_path / "train" / name).touch()
    (sentence,) = left_out(choice_of(tmp_path))
    listed = "left out 2 .gif, 1 beside the class folders, 1 .heic, 1 without suffix"
    assert sentence.startswith(f"{tmp_path}/train: {listed}; pictures are .jpg, ")


def test_pictures_are_those_of_torchvision_in_its_order(tmp_path: Path) -> None:
    assert PICTURES == IMG_EXTENSIONS
    for name in ("b.png", "a.jpg", "a/2.png", "a b/1.png", "a/c/0.png", "none.txt"):
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    expected = [path for path, _ in make_dataset(str(tmp_path), {"x": 0}, IMG_EXTENSIONS)]
    assert list(pictures_below(tmp_path / "x")) == expected


def test_imagenet_is_a_folder_with_its_own_names_and_val(tmp_path: Path) -> None:
    wnids = ("n01440764", "n02102040", "n03000684")
    files.pictures(tmp_path, wnids, parts=("train", "val"), ending="jpg")
    (tmp_path / "test").mkdir()  # ImageNet's own test set has no labels
    workload = opened(tmp_path, data="imagenet", image_size=16)
    assert workload.outputs == 3
    assert len(workload.test) == 24


def test_other_folders_are_not_taken_for_imagenet(tmp_path: Path) -> None:
    files.pictures(tmp_path, parts=("train", "val"))
    with pytest.raises(RunError, match=r"train/cat: not a class of ImageNet"):
        opened(tmp_path, data="imagenet", image_size=16)
