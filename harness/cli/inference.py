"""`inference`: the energy and the latency of trained networks, each in its runtime."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch

from harness.cli.export_network import workload_of, write_network
from harness.energy.sensors.base import MeterSetup
from harness.energy.sensors.estimate import watts_per_thread
from harness.energy.trace_file import pack
from harness.energy.window_energy import Measured
from harness.errors import ExitCode, UsageError
from harness.network.comparison import compare
from harness.network.formats.base import RUNTIMES, Format, Infer, Place, find_format
from harness.network.formats.torch_export import in_torch
from harness.network.inferences import INFERENCES, TRACE, Inferences, energy_of, source_of
from harness.network.load import network_of
from harness.network.measuring import largest_useful_batch, measure_inferences
from harness.network.record import RECORD, NetworkRecord, read_record
from harness.network.samples import Samples, samples_for
from harness.results.folder import RunFolder, StudyFolder
from harness.settings.settings import EnergySettings
from harness.training.device import gpu_uuids
from harness.utils.file_lock import AlreadyHeld
from harness.utils.jsonl import LogWriter
from reports.text.units import by_factor

SAMPLES = 1024
PACKAGES = {"pytorch": "torch", "onnxruntime": "onnxruntime", "executorch": "executorch"}


def measure_networks(
    folders: tuple[str, ...],
    runtime: str,
    batches: tuple[int, ...],
    threads: int,
    device: str,
    seconds: float,
    as_json: bool,
) -> ExitCode:
    """Measure each network, record it beside its run, and print what was found.

    Raises:
        UsageError: There is no network, or it cannot be run like this.
        MeasurementError: The recorder does not start.
    """
    form = find_format(RUNTIMES[runtime], f"--runtime {runtime}")
    _check_batches(batches, form)
    place = Place(threads, device)
    reports = []
    for run in _runs(folders):
        if not as_json:
            click.echo(f"{run}: measuring ...", err=True)
        windows = measure_network(run, form, place, batches, seconds)
        reports.append(
            {"run": str(run)} | {"windows": list(map(_window, windows, energy_of(windows, run)))}
        )
    if as_json:
        click.echo(json.dumps(reports))
    else:
        click.echo("\n".join(line for each in reports for line in _lines(each)))
    return ExitCode.DONE


def _check_batches(batches: Iterable[int], form: Format) -> None:
    for batch in batches:
        if form.max_batch is not None and batch > form.max_batch:
            raise UsageError(
                f"--batch {batch}: a file for {form.runtime} takes up to {form.max_batch} samples"
            )


def _runs(folders: tuple[str, ...]) -> list[Path]:
    """The folders of networks: those named, and all in results folders named.

    Raises:
        UsageError: There are none.
    """
    found = []
    for name in folders:
        study = StudyFolder(Path(name))
        if not study.settings.exists():
            found.append(Path(name))
            continue
        inside = [run.path for run in study.runs() if (run.path / RECORD).exists()]
        if not inside:
            raise UsageError(f"{name}: no run there has left a network ({RECORD})")
        found += inside
    return found


def measure_network(
    folder: Path, form: Format, place: Place, batches: tuple[int, ...], seconds: float
) -> list[Inferences]:
    """Export a run's network, check the file, measure its inferences and record them.

    Args:
        folder: The run's.
        form: The format that the runtime runs.
        place: Threads and device.
        batches: Batch sizes; none for 1 and the largest useful one.
        seconds: Least length of a window.

    Raises:
        UsageError: There is no network, it cannot be run like this, or nothing can be written.
        MeasurementError: The recorder does not start.
    """
    record = read_record(folder)
    samples = samples_for(record, workload_of(folder), SAMPLES)
    with tempfile.TemporaryDirectory(prefix="energy-harness-") as scratch:
        path = write_network(form, folder, record, Path(scratch))
        infer = form.open_file(path, place)
        _check_equal(infer, folder, record, samples, path)
        useful = largest_useful_batch(infer, samples.inputs, form.max_batch) if not batches else 1
        sizes = batches or tuple(sorted({1, useful}))
        try:
            held = RunFolder(folder).hold()
        except AlreadyHeld as error:
            raise UsageError(f"{folder}: in use by {error}") from None
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
        try:
            return _recorded(folder, record, form, place, infer, samples, sizes, seconds)
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
        finally:
            held.release()


def _check_equal(
    infer: Infer, folder: Path, record: NetworkRecord, samples: Samples, path: Path
) -> None:
    trained = in_torch(network_of(record, folder), Place(torch.get_num_threads()))
    found = compare(infer, trained, samples, places=record.encoding.kind == "text")
    if not found.is_equal:
        raise UsageError(
            f"{folder}: as {path.name} it does not compute what the trained network does; see "
            "export-network"
        )


def _recorded(
    folder: Path,
    record: NetworkRecord,
    form: Format,
    place: Place,
    infer: Infer,
    samples: Samples,
    batches: tuple[int, ...],
    seconds: float,
) -> list[Inferences]:
    """Measure, then append a record per window; the trace is packed."""
    number = 1 + max((int(each.stem.rpartition("-")[2]) for each in traces_of(folder)), default=-1)
    trace = folder / TRACE.format(number)
    watts, note = watts_per_thread()
    # The GPU that it runs on, and no other; processors and memory of the host in any case.
    gpus = tuple(gpu_uuids(torch.device(place.device)))
    setup = MeterSetup(os.getpid(), gpus, watts, note)
    windows = measure_inferences(
        infer, samples.inputs, batches, seconds, trace, _energy_settings(folder), setup
    )
    found = [
        Inferences(
            weights_sha256=record.weights_sha256,
            runtime=form.runtime,
            runtime_version=version(PACKAGES[form.runtime]),
            device=device_name(place.device),
            threads=place.threads,
            batch=each.batch,
            calls=len(each.latencies_s),
            latency_s=each.median_s,
            latency_p99_s=each.p99_s,
            start_ns=each.start_ns,
            end_ns=each.end_ns,
            trace=trace.name,
            wall=time.time(),
            host=socket.gethostname(),
        )
        for each in windows
    ]
    log = LogWriter(folder / INFERENCES)
    try:
        for each in found:
            log.append(each.model_dump(mode="json"), durable=True)
    finally:
        log.close()
    pack(trace)
    return found


def traces_of(folder: Path) -> list[Path]:
    """Traces of inferences in a run's folder, packed or not."""
    return [
        path
        for path in folder.glob("inference-trace-*")
        if path.stem.rpartition("-")[2].isdecimal()
    ]


def _energy_settings(folder: Path) -> EnergySettings:
    """Sensors as the run was measured with; where the folder is no run's, the usual ones."""
    run = RunFolder(folder)
    return run.read_spec().energy if run.spec.exists() else EnergySettings()


def device_name(device: str) -> str:
    """A GPU's name; "cpu"."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def _window(window: Inferences, found: Measured) -> dict[str, Any]:
    known = bool(found.devices)
    joules = found.joules
    return {
        **window.model_dump(mode="json"),
        "inference_j": joules.energy_j / window.samples if known else None,
        "inference_uncertainty_j": joules.uncertainty_j / window.samples if known else None,
        "coverage": joules.coverage,
        "source": source_of(found),
        "flags": list(found.flags),
        "notes": list(found.notes),
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """A line per window for people."""
    for each in report["windows"]:
        yield (
            f"{report['run']}  {each['runtime']} on {each['device']}, "
            f"threads {each['threads']}, batch {each['batch']}"
        )
        yield f"    energy   {_energy(each)}"
        yield (
            f"    latency  {each['latency_s'] * 1e3:.4g} ms a call (99 %: "
            f"{each['latency_p99_s'] * 1e3:.4g} ms), {each['calls']} calls"
        )
        yield from (f"    careful  {flag}" for flag in each["flags"])
        yield from (f"    note     {note}" for note in each["notes"])


def _energy(window: dict[str, Any]) -> str:
    if window["inference_j"] is None:
        return "unknown, no sensor was found"
    mean, off = window["inference_j"], window["inference_uncertainty_j"]
    within = f"within {factor}" if (factor := by_factor(mean, off)) else f"± {off * 1e3:.2g} mJ"
    return f"{mean * 1e3:.4g} mJ a sample, {within} (95 %, {window['source']})"
