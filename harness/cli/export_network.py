"""`export-network`: the trained network of a run as a file, compared with what it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from harness.errors import ExitCode, UsageError
from harness.network.comparison import MAX_DIFFERENCE, MIN_EQUAL, Comparison, compare
from harness.network.formats.base import Format, Place, find_format
from harness.network.formats.torch_export import in_torch
from harness.network.load import example_for, network_of
from harness.network.record import NetworkRecord, read_record, write_record
from harness.network.samples import samples_for
from harness.pruning.cost import size_of
from harness.results.folder import RunFolder
from harness.settings.settings import Training, WorkloadChoice


def export_one(run: str, to: str, out: str | None, samples: int, as_json: bool) -> ExitCode:
    """Write the file, run it, compare it, and print what was found.

    Raises:
        UsageError: There is no network, the format does not hold it, or nothing can be written.
    """
    form = find_format(to, f"--to {to}")
    folder = Path(run)
    target = Path(out) if out else folder / "export"
    if target.resolve() == folder.resolve():
        raise UsageError(f"--out {out}: the run's own folder; choose another")
    record = read_record(folder)
    path = write_network(form, folder, record, target)
    place = Place()  # one thread
    trained = in_torch(network_of(record, folder), place)
    some = samples_for(record, workload_of(folder), samples)
    found = compare(
        form.open_file(path, place), trained, some, places=record.encoding.kind == "text"
    )
    report = _report(form, path, record, folder, found)
    click.echo(json.dumps(report) if as_json else "\n".join(_lines(report, found, record)))
    if found.is_equal:
        return ExitCode.DONE
    click.echo(
        f"error: {path} does not compute what the trained network does: more than "
        f"{MAX_DIFFERENCE:g} apart, or fewer than {MIN_EQUAL:.1%} equal predictions",
        err=True,
    )
    return ExitCode.RUNS_FAILED


def write_network(form: Format, folder: Path, record: NetworkRecord, target: Path) -> Path:
    """Export the network of a run; returns the file's path.

    Args:
        form: Of the file.
        folder: The run's.
        record: As it says there.
        target: Output folder, which gets the record as well.

    Raises:
        UsageError: The network is damaged, the format does not hold it, or nothing can be written.
    """
    network = network_of(record, folder)
    example = example_for(record)
    path = form.write(network, example.expand(2, *example.shape[1:]).contiguous(), target)
    write_record(target, record)
    return path


def workload_of(folder: Path) -> tuple[WorkloadChoice, Training] | None:
    """What a run was trained on and how; None where the folder is no run's."""
    run = RunFolder(folder)
    if not run.spec.exists():
        return None
    spec = run.read_spec()
    return spec.workload, spec.training


def _report(
    form: Format, path: Path, record: NetworkRecord, folder: Path, found: Comparison
) -> dict[str, Any]:
    size = size_of(network_of(record, folder), example_for(record), {})
    return {
        "file": str(path),
        "format": form.name,
        "runtime": form.runtime,
        "bytes": path.stat().st_size,
        "parameters": size.parameters,
        "macs": size.macs,
        "density": record.density,
        "metric": record.metric.get("name"),
        **found.to_json(),
        "is_equal": found.is_equal,
    }


def _lines(report: dict[str, Any], found: Comparison, record: NetworkRecord) -> Iterator[str]:
    yield f"{report['format']}: {report['file']}"
    each = report["bytes"] / report["parameters"]
    yield (
        f"size         {report['bytes']:,} bytes, {report['parameters']:,} parameters "
        f"({each:.2f} bytes each), {report['macs']:,} MACs a sample"
    )
    if record.density < 1:
        yield (
            f"masks        hold {1 - record.density:.1%} of the weights at zero, but the file has "
            "them all and every product is computed: it is not smaller"
        )
    yield f"compared     in {report['runtime']} on {found.samples}"
    yield (
        f"difference   {found.largest_difference:.2g} at most, of outputs up to "
        f"{found.largest_output:.3g}"
    )
    if found.equal_predictions is not None:
        yield f"predictions  {found.equal_predictions:.2%} equal"
    if found.score is not None:
        yield (
            f"{report['metric'] or 'score':12} {found.score:.6g}, of the trained network "
            f"{found.trained_score:.6g}"
        )
