"""CPU time of writing a study's figures: with each file drawn once, and as before.

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

import matplotlib as mpl

from harness.results.table import Tables
from reports.drawing import style
from reports.figures.gallery import FIGURES
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
    results = study_results(Tables(folder))
    drawn = {name: found for name, draw in FIGURES.items() if (found := draw(results)) is not None}
    ways = {"before": write_as_before, "now": style.write}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as out:
        for turn in range(ROUNDS + 1):
            for name, write in ways.items():
                place = Path(out) / name
                place.mkdir(exist_ok=True)
                began = time.process_time()
                for figure, found in drawn.items():
                    for kind in _METADATA:
                        write(found.figure, place / f"{figure}.{kind}", kind)
                if turn:
                    spent[name].append(time.process_time() - began)
        pairs = [(path, Path(out) / "now" / path.name) for path in Path(out, "before").iterdir()]
        same = all(
            one.read_bytes() == other.read_bytes() for one, other in pairs if one.suffix != ".pdf"
        )
    before, now = (min(each) for each in spent.values())
    count = len(drawn) * len(_METADATA)
    print(f"{count} files: {before:.2f} s before, {now:.2f} s now, {now / before:.0%}")  # noqa: T201
    print(f"SVG and PNG files are {'the same to the byte' if same else 'NOT the same'}")  # noqa: T201


if __name__ == "__main__":
    main()
