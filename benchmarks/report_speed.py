"""CPU time of a report of recorded runs: with each file of a figure drawn once, and as before.

Before, `Figure.savefig` drew every figure twice for each of its three files, and cut down tables
of fonts that a PDF file does not need. Both ways run in this process, alternating, the first round
not counted; the ratio of CPU times is what counts on a machine that others use, too.

Run: python benchmarks/report_speed.py [DIR] (default: benchmarks/quick-cpu)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import matplotlib as mpl

import reports
from harness.results.table import Tables
from reports.drawing import style
from reports.reading import study_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDS = 3
_METADATA: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}


def write_as_before(figure: Figure, path: Path, kind: str, dpi: int = style.PNG_DPI) -> None:
    """Write a figure by `Figure.savefig`."""
    with style.printed(), mpl.rc_context({"svg.hashsalt": path.stem}):
        resolution = {"dpi": dpi} if kind == "png" else {}
        figure.savefig(path, format=kind, metadata=_METADATA[kind], **resolution)


def main() -> None:
    """Time both ways and print their CPU times."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "quick-cpu"
    tables = Tables(folder)
    spent = {"before": [], "now": []}  # type: dict[str, list[float]]
    with tempfile.TemporaryDirectory() as out:
        for turn in range(ROUNDS + 1):
            for name, write in (("before", write_as_before), ("now", style.write)):
                began = time.process_time()
                with patch.object(style, "write", write):
                    reports.build(study_results(tables), out=Path(out) / name)
                if turn:
                    spent[name].append(time.process_time() - began)
        same = all(
            path.read_bytes() == (Path(out) / "now/figures" / path.name).read_bytes()
            for path in (Path(out) / "before/figures").glob("*.[sp][vn]g")
        )
    before, now = (min(spent[name]) for name in ("before", "now"))
    print(f"{len(tables.runs)} runs: {before:.2f} s before, {now:.2f} s now, {now / before:.0%}")  # noqa: T201
    print(f"SVG and PNG files are {'the same to the byte' if same else 'NOT the same'}")  # noqa: T201


if __name__ == "__main__":
    main()
