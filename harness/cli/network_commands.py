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


NETWORK_COMMANDS = (export_network,)
