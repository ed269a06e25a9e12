"""The commands for the trained network of a run: `export-network` and `inference`."""

from __future__ import annotations

import sys
from typing import Any

import click


@click.command("export-network")
@click.argument("run", metavar="RUN")
@click.option(
    "--to", metavar="FORMAT", required=True, help="safetensors, torch-export, onnx or executorch."
)
@click.option("--out", metavar="DIR", help="Output folder.  [default: RUN/export]")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Samples of the test set to compare on, at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export_network(**options: Any) -> None:
    """Export the trained network of RUN, and compare the file with the network.

    RUN is the folder of a finished run. The file takes any number of samples at a time (ExecuTorch
    up to 64); network.json beside it says what goes in and what comes out. It is then run in its
    own runtime on the test set, or on seeded inputs if the data are not here: exit code 3 if a
    prediction in a thousand differs, or an output by more than 1e-4. onnx and executorch are
    extras, such as 'energy-harness[onnx]'.

    \b
    Examples:
      python -m harness export-network results/quick/runs/early_bird/seed-0 --to onnx
      python -m harness export-network results/quick/runs/dense/seed-0 --to safetensors --out net
    """  # noqa: D301
    from harness.cli.export_network import export_one

    sys.exit(export_one(**options))


@click.command()
@click.argument("folders", metavar="RUN|DIR...", nargs=-1, required=True)
@click.option(
    "--runtime",
    type=click.Choice(["pytorch", "onnxruntime", "executorch"]),
    default="pytorch",
    show_default=True,
    help="What runs the network; the others than PyTorch are extras.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1, 65536),
    multiple=True,
    help="Samples of a call (repeatable).  [default: 1 and the largest useful]",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Threads of the CPU.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "mps"]),
    default="cpu",
    show_default=True,
    help="Where PyTorch runs it.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="Least length of a measurement, which has at least 32 calls.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list, a run each.")
def inference(**options: Any) -> None:
    """Measure the energy and the latency of trained networks, each in its own runtime.

    RUN is the folder of a finished run, DIR that of a study: then all its networks, in turn. Each
    is exported and checked as by export-network, warmed up and measured with the sensors of its
    run. The largest useful batch is the one up to which doubling saves time per sample. Results are
    appended to inference.jsonl in the run's folder, beside the trace, and join the table of runs.

    \b
    Examples:
      python -m harness inference results/quick --runtime onnxruntime
      python -m harness inference results/quick/runs/dense/seed-0 --batch 1 --batch 64 --threads 4
    """  # noqa: D301
    from harness.cli.inference import measure_networks

    sys.exit(measure_networks(**options))


NETWORK_COMMANDS = (export_network, inference)
