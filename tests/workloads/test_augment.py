"""Batched augmentation against each of its outcomes written by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from harness.workloads.resident import cutout, random_crop, random_flip, windows

IMAGES = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5) + 1


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_crops_are_shifts_of_the_samples_asked_for() -> None:
    draw = generator()
    padded = F.pad(IMAGES, (1, 1, 1, 1))
    shifts = [padded[:, :, r : r + 4, c : c + 5] for r in range(3) for c in range(3)]
    seen = set()
    index = torch.tensor([1, 0, 1])
    for _ in range(60):
        crops = random_crop(windows(padded, 1), index, draw)
        for sample, crop in zip(index.tolist(), crops, strict=True):
            matches = [i for i, shift in enumerate(shifts) if torch.equal(crop, shift[sample])]
            assert len(matches) == 1
            seen.add((sample, matches[0]))
    assert len(seen) == 2 * 9


def test_flips_are_mirrors() -> None:
    draw = generator()
    mirrored = 0
    for _ in range(100):
        for image, before in zip(random_flip(IMAGES, draw), IMAGES, strict=True):
            is_mirror = torch.equal(image, before.flip(-1))
            assert is_mirror or torch.equal(image, before)
            mirrored += is_mirror
    assert 70 < mirrored < 130


def test_cutout_blanks_one_square_whose_centre_is_any_pixel() -> None:
    draw = generator()
    images = torch.ones(1, 2, 6, 6)
    expected = {
        (max(y - 1, 0), min(y + 2, 6), max(x - 1, 0), min(x + 2, 6))
        for y in range(6)
        for x in range(6)
    }
    seen = set()
    for _ in range(600):
        blank = cutout(images, 3, draw)[0] == 0
        assert torch.equal(blank[0], blank[1])
        rows, columns = blank[0].any(1).nonzero(), blank[0].any(0).nonzero()
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        assert bool(blank[0, top:bottom, left:right].all())
        seen.add((top, bottom, left, right))
    assert seen == expected
    assert bool((images == 1).all())
