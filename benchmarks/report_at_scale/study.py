"""A results folder of many runs that were never trained, each with an hour's trace of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.report_at_scale.played import Event, played
from benchmarks.report_at_scale.recorded import BEGINS_NS, recorded
from harness.energy.trace_file import PACKED, writer
from harness.results.folder import RunFolder, StudyFolder
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests.energy.virtual import SECOND
from tests.fakes.stand_in import build

METHODS: dict[str, dict[str, Any]] = {
    "dense": {},
    "progressive": {"prune_ratio": 0.5},
    "lottery_ticket": {"rounds": 1},
    "early_bird": {"prune_ratio": 0.5},
}
EPOCHS = 160
HOUR_NS = 3600 * SECOND
BETWEEN_NS = 60 * SECOND
"""From the end of one run to the beginning of the next."""
BOARDS = 0.02
"""How much energy differs from seed to seed, as a share of it."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def write_study(path: Path, runs: int) -> None:
    """Write as many runs as wanted, of `METHODS` in turns, into the new folder `path`."""
    study = Study(
        name="report-at-scale",
        seeds=tuple(range(-(-runs // len(METHODS)))),
        workload={"data": "cifar10", "model": "vgg16"},
        training={"epochs": EPOCHS},
        methods=METHODS,
    )
    registry = Registry.discover()
    specs = expand(study, registry)[:runs]
    folder = StudyFolder(path)
    folder.bind(study, specs)
    with tempfile.TemporaryDirectory() as scratch:
        library = build(Path(scratch))
        models = {
            name: _Model.made(registry, name, number, library, Path(scratch))
            for number, name in enumerate(METHODS)
        }
    for number, spec in enumerate(specs):
        models[spec.method].write(folder.run(spec), spec, number)


@dataclass(frozen=True)
class _Model:
    """What all runs of a method have in common.

    Attributes:
        events: The journal between the attempt's first and last event.
        unit_ns: An epoch.
        trace: Columns of the packed trace; `text` is None.
        told: Lines of the trace that are no readings, by row.
    """

    events: list[Event]
    unit_ns: float
    trace: Mapping[str, np.ndarray]
    told: dict[int, Any]

    @classmethod
    def made(cls, registry: Registry, name: str, seed: int, library: Path, scratch: Path) -> _Model:
        """Play the method, and record an hour of it."""
        events = played(registry.get(name)(**METHODS[name]), EPOCHS, seed)
        unit_ns = HOUR_NS / events[-1][0]
        borders = [each for each in events if each[1]["event"] == "border"]
        windows = [(BEGINS_NS + round(at * unit_ns), said["window"]) for at, said in borders]
        windows = [(BEGINS_NS, "overhead"), *windows]
        lines = recorded(library, scratch, windows, BEGINS_NS + HOUR_NS, seed)
        is_told = np.array([isinstance(line, dict) for line in lines])
        readings = [[-1, 0, np.nan] if isinstance(line, dict) else line for line in lines]
        sensor, time_ns, value = zip(*readings, strict=True)
        trace = {
            "sensor": np.array(sensor, dtype=np.int16),
            "time_ns": np.array(time_ns, dtype=np.int64),
            "value": np.array(value),
        }
        told = {int(row): lines[row] for row in np.flatnonzero(is_told)}
        return cls(events, unit_ns, trace, told)

    def write(self, run: RunFolder, spec: RunSpec, number: int) -> None:
        """One run: later than the ones before, and with an energy of its own."""
        rng = np.random.default_rng([spec.seed, number])
        run.path.mkdir(parents=True)
        run.spec.write_text(spec.model_dump_json(indent=2))
        shift_ns = number * (HOUR_NS + BETWEEN_NS)
        journal = "".join(json.dumps(e) + "\n" for e in self._journal(shift_ns, rng))
        run.journal.write_text(journal)
        table = self._shifted(shift_ns, float(rng.normal(1, BOARDS)))
        with writer(run.trace(1).with_suffix(PACKED)) as file:
            file.write_table(pa.table(table, schema=file.schema))

    def _journal(self, shift_ns: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        began_ns = BEGINS_NS + shift_ns
        wall = (BEGAN + timedelta(seconds=shift_ns / SECOND)).isoformat(timespec="seconds")
        yield {
            "event": "attempt",
            "time_ns": began_ns,
            "number": 1,
            "restored": 0,
            "wall": wall,
            "host": "nowhere",
            "process_id": 1,
            "device": "cuda",
            "device_name": "Stand-in GPU 0",
            "threads": 1,
            "versions": {},
            "plugins": {},
        }
        luck = rng.normal(0, 0.002)
        for at, said in self.events:
            event = {"event": said["event"], "time_ns": began_ns + round(at * self.unit_ns), **said}
            for accuracy in {"val_score", "test_score"} & said.keys():
                event[accuracy] = min(said[accuracy] + luck, 1.0)
            yield event
        yield {"event": "end", "time_ns": began_ns + HOUR_NS, "status": "done"}

    def _shifted(self, shift_ns: int, factor: float) -> dict[str, pa.Array]:
        is_told = self.trace["sensor"] < 0
        text = np.full(len(is_told), None, dtype=object)
        for row, said in self.told.items():
            text[row] = json.dumps(_later(said, shift_ns))
        return {
            "sensor": pa.array(self.trace["sensor"], mask=is_told),
            "time_ns": pa.array(self.trace["time_ns"] + shift_ns, mask=is_told),
            "value": pa.array(np.round(self.trace["value"] * factor, 3), mask=is_told),
            "text": pa.array(text, pa.string()),
        }


def _later(said: dict[str, Any], shift_ns: int) -> dict[str, Any]:
    """A line of a trace, told so much later."""
    moments = {key: said[key] + shift_ns for key in ("time_ns", "end") if key in said}
    if "idle" in said:
        moments["idle"] = [moment_ns + shift_ns for moment_ns in said["idle"]]
    return {**said, **moments}
