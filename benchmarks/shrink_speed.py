"""What removing channels saves: a training step of the smaller network against the dense step.

    python benchmarks/shrink_speed.py [--rounds N] [--json FILE]

VGG-16 and ResNet-18 on images of CIFAR's size, channels chosen by random BatchNorm scales, widths
as they come and rounded up to multiples of 8; and as large a share of single weights held at zero,
which saves nothing. All take turns, in random order. On a GPU if torch sees one; else on all cores,
about 3 minutes if nothing else runs.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import circumstances, factor, heading, in_turns, ratio, repeated, timed
from harness.pruning.batch import Batch
from harness.pruning.channels import shrink
from harness.pruning.cost import size_of
from harness.pruning.groups import scales
from harness.pruning.questions import bn_channel_mask
from harness.pruning.weights import magnitude, prune_weights
from harness.settings.catalogue import resolve_model
from harness.training.device import open_device
from harness.training.precision import autocast
from harness.training.state import hold_at_zero

MODELS = ("vgg16", "resnet18")
RATIOS = (0.3, 0.5, 0.7)
MULTIPLES = (1, 8)
DENSE = "dense"


def variants(model: str, batch: Batch) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    """The dense network and what becomes of it, each with its weight masks."""
    torch.manual_seed(0)
    dense = resolve_model(model)(3, 10)
    for layer in scales(dense).values():
        nn.init.uniform_(layer.weight)
    dense.to(batch.inputs.device)
    made: dict[str, tuple[nn.Module, dict[str, Tensor]]] = {DENSE: (dense, {})}
    for share in RATIOS:
        for multiple in MULTIPLES:
            smaller = copy.deepcopy(dense)
            question = bn_channel_mask(share, min_channels=1, round_to=multiple)
            shrink(smaller, question(smaller, batch), batch.inputs)
            rounded = f", multiples of {multiple}" if multiple > 1 else ""
            made[f"{share:.0%} of channels removed{rounded}"] = (smaller, {})
    masks = prune_weights(magnitude(dense, batch), {}, RATIOS[-1])
    made[f"{RATIOS[-1]:.0%} of weights masked"] = (copy.deepcopy(dense), masks)
    return made


def steps_of(
    network: nn.Module, masks: Mapping[str, Tensor], batch: Batch, steps: int
) -> Callable[[], dict[str, float]]:
    """A function that trains `network` for some steps and returns how long they took."""
    device = batch.inputs.device
    on_gpu = device.type == "cuda"
    if on_gpu:
        network.to(memory_format=torch.channels_last)
    parameters = dict(network.train().named_parameters())
    masked = [parameters[name] for name in masks]
    optimizer = torch.optim.SGD(parameters.values(), lr=1e-3, momentum=0.9, fused=on_gpu)

    def train() -> None:
        for _ in range(steps):
            with autocast("bf16" if on_gpu else "fp32", device):
                loss = F.cross_entropy(network(batch.inputs), batch.targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            hold_at_zero(masked, list(masks.values()))

    return lambda: timed(train, device)


def compare(model: str, batch: Batch, steps: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each variant: what is left of the network, and how much faster it trains."""
    made = variants(model, batch)
    sizes = {name: size_of(net, batch.inputs, masks) for name, (net, masks) in made.items()}
    ways = {name: steps_of(*variant, batch, steps) for name, variant in made.items()}
    in_turns(ways, 1)
    found = in_turns(ways, rounds, seed=1)
    seconds = {name: [leg["s"] / steps for leg in legs] for name, legs in found.items()}
    dense = sizes[DENSE]
    return [
        {
            "model": model,
            "variant": name,
            "macs": sizes[name].macs / dense.macs,
            "parameters": sizes[name].parameters / dense.parameters,
            "density": sizes[name].density,
            "times_faster": ratio(seconds[DENSE], seconds[name]) if name != DENSE else None,
            "step_s": seconds[name],
        }
        for name in made
    ]


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        *heading(record, "What removing channels saves"),
        repeated(record, f"Steps of {record['batch_size']} images, {record['precision']}"),
        "",
        "| network | | MACs left | parameters left | step, ms | times as fast as dense (95 %) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        faster = factor(row["times_faster"]) if row["times_faster"] else ""
        lines.append(
            f"| {row['model']} | {row['variant']} | {row['macs']:.1%} | {row['parameters']:.1%} | "
            f"{1e3 * statistics.median(row['step_s']):,.1f} | {faster} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=40, help="in which each takes its turn")
    parser.add_argument("--batch-size", type=int, help="default: 512 on a GPU, else 32")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    device = open_device(deterministic=False)
    on_gpu = device.type == "cuda"
    size = options.batch_size or (512 if on_gpu else 32)
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    images = torch.randn(size, 3, 32, 32, device=device).contiguous(memory_format=layout)
    batch = Batch(images, torch.randint(10, (size,), device=device))
    steps = 20 if on_gpu else 1
    record = {
        **circumstances(),
        "batch_size": size,
        "precision": "bf16" if on_gpu else "fp32",
        "rounds": options.rounds,
        "rows": [row for model in MODELS for row in compare(model, batch, steps, options.rounds)],
    }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
