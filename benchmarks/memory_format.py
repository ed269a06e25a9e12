"""What the channels-last memory format does to training on a CPU, network by network.

Forward and backward passes of the same network on the same batch, in both formats, in turns.

    python benchmarks/memory_format.py [--rounds N] [--json FILE] > benchmarks/memory_format.md
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import at_least, circumstances, factor, heading, in_turns, ratio, repeated
from benchmarks.paired import timed as timed_on
from harness.workloads.models.resnet import resnet18
from harness.workloads.models.vgg import vgg, vgg_small, vgg_tiny

NETWORKS = {
    "vgg_tiny, 128 images of 28 x 28": (vgg_tiny(1, 10), 28, 1, 128),
    "the same, pruned to odd widths": (
        vgg(1, 10, (9, None, 17, None, 35, 29)),
        28,
        1,
        128,
    ),
    "vgg_small, 64 images of 8 x 8": (vgg_small(1, 10), 8, 1, 64),
    "resnet18, 16 images of 32 x 32": (resnet18(3, 10), 32, 3, 16),
    "torchvision's resnet18, the same": (torchvision.models.resnet18(num_classes=10), 32, 3, 16),
}
"""Network, pixels, channels, batch size."""
FORMATS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


def compare(network: nn.Module, pixels: int, channels: int, batch: int, rounds: int) -> Any:
    """CPU time of a step by channels last over that of contiguous tensors, with its interval."""
    images = torch.randn(batch, channels, pixels, pixels)
    labels = torch.randint(10, (batch,))

    def way(memory_format: torch.memory_format) -> Any:
        laid_out: nn.Module = copy.deepcopy(network).to(memory_format=memory_format)
        inputs = images.contiguous(memory_format=memory_format)

        def step() -> None:
            laid_out.zero_grad()
            functional.cross_entropy(laid_out(inputs), labels).backward()

        step()
        return lambda: timed_on(step, images.device)["cpu_s"]

    ways = {name: way(memory_format) for name, memory_format in FORMATS.items()}
    found = in_turns(ways, rounds)
    return {"cpu_s": found, "ratio": ratio(found["channels last"], found["contiguous"])}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=at_least(2), default=16, help="steps each")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    torch.manual_seed(0)
    record = {
        **circumstances(),
        "rounds": options.rounds,
        "cases": {name: compare(*case, options.rounds) for name, case in NETWORKS.items()},
    }
    lines = [
        *heading(record, "Channels last on a CPU"),
        repeated(record, "CPU time of a step, channels last over contiguous (95 %)"),
        "",
        "| network | ratio |",
        "|---|---:|",
        *(f"| {name} | {factor(case['ratio'])} |" for name, case in record["cases"].items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
