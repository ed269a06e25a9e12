"""The schema of a study's tidy tables: every column with its type, unit and meaning.

What writes a table takes its columns from here, and so do the default of a run that cannot be read
and the tables of results/README.md (`docs/generate.py` fills them in). In the table of runs there
may be more: `co2e_kg_X` and `carbon_basis_X` for each further site, facts that methods record, and
hyper-parameters.
"""

from __future__ import annotations

import math
from typing import Any

from harness.results.column import Column, Schema

IDENTITY = (
    Column("arm", "text", "The method, and what distinguishes it from other arms of the method."),
    Column("method", "text", "Name of the method."),
    Column("seed", "integer", "Seed of the run."),
)
"""Columns that every table begins with: which run a row belongs to."""

RUNS = Schema(
    "runs",
    "The tidy table",
    "a run",
    (
        Column("schema_version", "integer", "Version of the format."),
        Column("study", "text", "Name of the study."),
        *IDENTITY[:2],
        Column("variant", "text", "The study's name for this run's input and recipe."),
        Column("precision", "text", "Arithmetic of the recipe."),
        IDENTITY[2],
        Column(
            "status",
            "text",
            "`done`, `failed`, `interrupted`, `planned` or `damaged` (records cannot be read).",
        ),
        Column("reason", "text", "Why it is not done."),
        Column(
            "test_score",
            "number",
            "Of the final network on test data, as `metric` says: an accuracy is from 0 to 1; "
            "empty unless done.",
        ),
        Column("val_score", "number", "The same on validation data."),
        Column("metric", "text", "What scores are: `accuracy`, `bits per byte`; empty if planned."),
        Column("energy_j", "number", "Everything from start to end, all attempts.", "J"),
        Column("uncertainty_j", "number", "Uncertainty of `energy_j` (95 %).", "J"),
        Column(
            "uncertainty_without_gain_j",
            "number",
            "The same without the gain, which cancels between runs on one board.",
            "J",
        ),
        Column("gain_j", "number", "Part of `uncertainty_j`: accuracy of the sensor.", "J"),
        Column("border_j", "number", "Part of `uncertainty_j`: the edges of the window.", "J"),
        Column("gap_j", "number", "Part of `uncertainty_j`: time without usable readings.", "J"),
        Column("aliasing_j", "number", "Part of `uncertainty_j`: time between samples.", "J"),
        Column(
            "tuning_j",
            "number",
            "All trials that chose the method's recipe: beside `energy_j`, not in it, and once for "
            "all its runs; empty where nothing was tuned.",
            "J",
        ),
        Column("tuning_uncertainty_j", "number", "Uncertainty of `tuning_j` (95 %).", "J"),
        Column("energy_source", "text", "`counter`, `sampled`, `estimated` or `simulated`."),
        Column("energy_scope", "text", "Kinds of the devices, joined with `+`."),
        Column("energy_device", "text", "Names of the devices."),
        Column(
            "calibration",
            "text",
            "Of an estimate: when and by which meter the machine's CPU was calibrated; empty where "
            "it was not.",
        ),
        Column("energy_note", "text", "Assumptions, and missing sensors."),
        Column(
            "idle_energy_j",
            "number",
            "Idle power before the run × its duration: beside `energy_j`, not in it.",
            "J",
        ),
        Column(
            "power_disagreement", "number", "Integrated power over the counter's energy, less 1."
        ),
        Column("start_temperature_c", "number", "Of the warmest card before the run.", "°C"),
        Column("throttled_share", "number", "Share of the time in which a card was throttled."),
        Column(
            "background_cpu",
            "number",
            "Share of the machine's CPU threads that other work kept busy, with or without a "
            "sensor; the largest of all attempts; empty where it was not recorded twice.",
        ),
        Column(
            "threads_in_use",
            "number",
            "CPU time of the run's processes over wall time; the largest of all attempts; empty "
            "where it was not recorded.",
        ),
        Column("energy_flags", "text", "What casts doubt on the measurement; empty is good."),
        Column(
            "gpu_busy",
            "number",
            "Share of the time of its training windows in which a kernel ran on its GPUs, by "
            "NVML's utilisation; that is averaged over up to a second, so that shorter windows are "
            "known only as part of what surrounds them. Empty where it cannot be read.",
        ),
        Column("coverage", "number", "Share of the time that was observed."),
        Column(
            "spare_gpus_j",
            "number",
            "Read beside the run's own devices, in no total: GPUs that were handed over with the "
            "run's and stayed idle.",
            "J",
        ),
        Column(
            "shared_host_j",
            "number",
            "Likewise: processors and memory of a host that others used meanwhile.",
            "J",
        ),
        Column(
            "machine_j",
            "number",
            "Likewise: the whole machine, power supply and idle power included, where `energy_j` "
            "is that of its parts.",
            "J",
        ),
        Column(
            "parts_j",
            "number",
            "Likewise: the measured parts of the machine, where `energy_j` is that of the whole.",
            "J",
        ),
        Column(
            "missed_share",
            "number",
            "Share of the whole machine's energy that no measured part has (power supply, fans, "
            "disks); empty unless both were measured throughout.",
        ),
        Column("missed_share_uncertainty", "number", "Its uncertainty (95 %), gains included."),
        Column("lost_j", "number", "Part of `energy_j`: work that was not kept.", "J"),
        Column("overhead_j", "number", "Part of `energy_j`: work outside of phases.", "J"),
        Column(
            "search_j",
            "number",
            "Part of `energy_j`: until the network had its final shape; 0 if it never changed.",
            "J",
        ),
        Column("search_epochs", "integer", "Part of `epochs_trained`, likewise."),
        Column(
            "test_j",
            "number",
            "Part of `energy_j`: the one pass over the test set, a measure of inference.",
            "J",
        ),
        Column(
            "inference_j",
            "number",
            "Energy of the network per sample, as the command `inference` measured it last, at its "
            "smallest batch; this and the next columns are empty where it did not.",
            "J",
        ),
        Column("inference_uncertainty_j", "number", "Uncertainty of `inference_j` (95 %).", "J"),
        Column(
            "inference_gain_j",
            "number",
            "Part of `inference_uncertainty_j`: accuracy of the sensor.",
            "J",
        ),
        Column("inference_source", "text", "As `energy_source`, of `inference_j`."),
        Column("latency_s", "number", "Median time of a call, of `inference_batch` samples.", "s"),
        Column("latency_p99_s", "number", "99 % of the calls took no longer.", "s"),
        Column("inference_batch", "integer", "Samples of a call."),
        Column("inference_runtime", "text", "`pytorch`, `onnxruntime` or `executorch`."),
        Column("inference_device", "text", "`cpu`, or the name of the GPU: not always the run's."),
        Column("inference_threads", "integer", "Threads of the CPU."),
        Column("inference_host", "text", "As `host`, of `inference_j`."),
        Column("inference_gpus", "text", "As `gpus`, of `inference_j`."),
        Column("co2e_kg", "number", "CO2e of `energy_j`.", "kg"),
        Column("carbon_basis", "text", "The factor of `co2e_kg`: place, year, source, kind, PUE."),
        Column(
            "co2e_at_once_kg",
            "number",
            "CO2e of `energy_j` had nothing waited for green electricity; empty where a run was "
            "not asked to.",
            "kg",
        ),
        Column(
            "waited_s",
            "number",
            "Time that the run waited for green electricity, before it began and at checkpoints; "
            "not in `duration_s`.",
            "s",
        ),
        Column("duration_s", "number", "Time worked, over all attempts.", "s"),
        Column("attempts", "integer", "How many processes worked on it, one after the other."),
        Column("parameters", "integer", "Of the final network in memory."),
        Column("macs", "integer", "Of the final network in memory, per sample."),
        Column("density", "number", "Share of weights that are not masked."),
        Column("dense_parameters", "integer", "Of the unpruned network."),
        Column("dense_macs", "integer", "Of the unpruned network, per sample."),
        Column(
            "macs_uncounted",
            "text",
            "Operators of either network that the MACs leave out, since no formula for them is "
            "known; empty is good.",
        ),
        Column("epochs_trained", "number", "Epochs of training."),
        Column(
            "samples_trained",
            "number",
            "Samples that it stepped on: fewer than in whole epochs where a method chooses some.",
        ),
        Column("test_samples", "integer", "Size of the test set."),
        Column("device", "text", "`cpu` or `cuda`."),
        Column("gpus", "text", "UUIDs of the GPUs that it trained on, joined with `+`."),
        Column(
            "processes",
            "integer",
            "How many processes trained it together, with a GPU each if there were any.",
        ),
        Column("host", "text", "The machine."),
        Column("started_at", "text", "When it began (wall clock with zone)."),
        Column(
            "code_hash",
            "text",
            "Hash of the code; empty if not recorded. Runs of one method with different code or "
            "data are different arms.",
        ),
        Column("data_hash", "text", "Hash of the data; empty if not recorded."),
    ),
)
CURVES = Schema(
    "curves",
    "Evaluations",
    "an evaluation on validation data whose work was kept",
    (
        *IDENTITY,
        Column("order", "integer", "Its number in the run, from 0."),
        Column("phase", "text", "Window of the training before it."),
        Column("epochs_trained", "number", "Epochs of training so far."),
        Column("energy_j", "number", "Energy so far.", "J"),
        Column("val_score", "number", "Score of the network at that moment."),
    ),
)
PHASES = Schema(
    "phases",
    "Energy by window label",
    "a window label of a run",
    (
        *IDENTITY,
        Column("phase", "text", "The label."),
        Column("energy_j", "number", "Energy of its windows; all labels add up to the run.", "J"),
        Column("duration_s", "number", "Duration of its windows, likewise.", "s"),
        Column("gpu_busy", "number", "As of a run, in these windows."),
        Column("threads_in_use", "number", "As of a run, in these windows."),
    ),
)
ATTEMPTS = Schema(
    "attempts",
    "Attempts",
    "an attempt of a run",
    (
        *IDENTITY,
        Column("attempt", "integer", "Its number, from 1."),
        Column("status", "text", "How it ended; `died`: without an `end` event."),
        Column("restored", "integer", "The checkpoint that it began from; 0: none."),
        Column("started_at", "text", "When it began (wall clock with zone)."),
        Column("duration_s", "number", "Time worked.", "s"),
        Column("energy_j", "number", "Its energy.", "J"),
        Column("uncertainty_j", "number", "Uncertainty of that (95 %).", "J"),
        Column("lost_j", "number", "Part of `energy_j`: work that was not kept.", "J"),
        Column("host", "text", "The machine."),
        Column("device", "text", "`cpu` or `cuda`."),
        Column("device_name", "text", "Name of the device."),
        Column("threads", "integer", "CPU threads of each process."),
        Column("processes", "integer", "How many processes trained it together."),
        Column("versions", "text", "Versions of libraries and system, as JSON."),
    ),
)
TICKETS = Schema(
    "tickets",
    "Channel masks",
    "a look at a channel mask",
    (
        *IDENTITY,
        Column("order", "integer", "Its number in the run, from 0."),
        Column("epochs_trained", "integer", "Epochs of training so far."),
        Column("energy_j", "number", "Energy so far.", "J"),
        Column("kept", "number", "Share of channels that are kept."),
        Column("distance", "number", "Distance to the mask before."),
        Column("largest_distance", "number", "Largest distance to the other masks of the FIFO."),
    ),
)
TABLES = (RUNS, CURVES, PHASES, ATTEMPTS, TICKETS)
"""All tidy tables."""


def names(schema: Schema) -> list[str]:
    """The names of a table's columns, in order."""
    return [column.name for column in schema.columns]


def unknown(schema: Schema) -> dict[str, Any]:
    """A row of which nothing is known: NaN for numbers, None for the rest."""
    return {
        column.name: math.nan if column.kind in ("number", "integer") else None
        for column in schema.columns
    }
