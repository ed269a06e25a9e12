"""`boamps`: a report in BoAmps' open data model a finished run, by CodeCarbon's classes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.atomic import write_atomically
from harness.exporters.boamps_report import report
from harness.exporters.place import place

if TYPE_CHECKING:
    from harness.results.table import Tables


def export(tables: Tables, folder: Path, out: str | None) -> str:
    """Write a report a run, as a JSON file.

    Only finished runs with a known energy make one: the model needs a figure, and a training that
    broke off is no training.
    """
    path = place(folder, out, "boamps")
    attempts = dict(iter(tables.attempts.groupby(["arm", "seed"])))
    written = 0
    for record in tables.runs.to_dict("records"):
        row: dict[str, Any] = {str(key): value for key, value in record.items()}
        if row["status"] != "done" or not row["energy_j"] > 0:
            continue
        run = tables.folder(row["arm"], row["seed"])
        told = report(row, attempts[row["arm"], row["seed"]], run, tables.settings["carbon"])
        name = f"{run.path.parent.name}_{run.path.name}.json"
        write_atomically(path / name, json.dumps(told, indent=2, allow_nan=False).encode())
        written += 1
    left_out = len(tables.runs) - written
    note = f"; {left_out} left out: not finished, or of unknown energy" if left_out else ""
    return f"{path}: {written} reports{note}"
