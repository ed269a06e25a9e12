"""The share of an epoch of training in which a GPU is busy.

Without a GPU `python benchmarks/gpu_busy.py` ends in torch's error.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import timed
from benchmarks.random_cifar import resident_workload
from harness.method.phases import Train
from harness.settings.settings import Training
from harness.training.loop import train_epoch
from harness.training.state import TrainingState

RECIPE = Training(batch_size=512, crop_padding=4, flip=True, precision="bf16")
WORK = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
"""What keeps a GPU busy, as the profiler's trace calls it."""


def busy_share(device: torch.device, images: int = 50_000, epochs: int = 5) -> dict[str, Any]:
    """How long the GPU works in an epoch of ResNet-18, over how long the epoch takes.

    The work is taken from an epoch under the profiler, which slows the host down but not the
    kernels; the epoch's length from epochs without it.
    """
    workload = resident_workload("resnet18", images, RECIPE, device)
    state = TrainingState(workload, RECIPE, 0, Path)
    phase = Train("train", epochs=epochs)

    def train() -> None:
        train_epoch(state, phase, RECIPE, 0)

    train()
    lengths_s = [timed(train, device)["s"] for _ in range(epochs)]
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        timed(train, device)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    busy_s = 1e-6 * union(
        (event["ts"], event["ts"] + event["dur"]) for event in events if event.get("cat") in WORK
    )
    epoch_s = statistics.median(lengths_s)
    return {
        "precision": RECIPE.precision,
        "batch_size": RECIPE.batch_size,
        "images": images,
        "busy_s": busy_s,
        "epoch_s": epoch_s,
        "epochs_s": lengths_s,
        "share": busy_s / epoch_s,
    }


def union(spans: Iterable[tuple[float, float]]) -> float:
    """Length of what the spans cover together: kernels of several streams overlap."""
    covered, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return covered


if __name__ == "__main__":
    print(json.dumps(busy_share(torch.device("cuda")), indent=1))  # noqa: T201
