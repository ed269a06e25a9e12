"""Handwritten digits, bundled with scikit-learn: 1,797 grey images of 8 x 8 pixels, ten classes.

The test set of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin & Kaynak, 1998).
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from harness.settings.settings import WorkloadChoice
from harness.workloads.images import Images


def load(_choice: WorkloadChoice) -> Images:
    """The digits, a fifth of each class set aside for the test; needs no files."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    return Images.held_out(images, torch.tensor(labels), test_share=0.2)
