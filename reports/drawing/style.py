"""One look for every figure, and one way to save it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from fontTools.subset import Options
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb

from harness.results.inert import inert_csv
from reports.analysis.families import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from reports.analysis.standing import Standing

WIDTH_IN = 6.6
PNG_DPI = 200
BASELINE_COLOUR = "#63666a"
INK = "#1a1a1a"
MUTED = "#6b6b6b"
HATCH = "/////"

# petroff10 without its two greys, which are too near the baseline's.
COLOURS = (
    "#3f90da",
    "#e76300",
    "#832db6",
    "#ffa90e",
    "#bd1f01",
    "#a96b59",
    "#b9ac70",
    "#92dadd",
)
# Eleven markers over eight colours: 88 arms before a pair comes back.
MARKERS = ("o", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
BASELINE_MARKER = "s"

RC: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titlepad": 8,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    # The bundled font first, so that the layout is the same on every machine; Verdana has
    # nearly the same widths where a browser lacks it.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8.5,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "path.simplify": False,
    # TrueType: journals refuse PDF files with the default's Type 3 fonts.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # A dollar in a method's name is a dollar.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class ArmStyle:
    """How one arm is drawn in every figure.

    Attributes:
        colour: Its family's.
        marker: Its family's.
        dashed: Whether its lines are, because the colour is used again.
        shade: Where it stands among the levels of its family, from -1 (least pruned) to 1; 0 for
            an arm alone.
    """

    colour: str
    marker: str
    dashed: bool = False
    shade: float = 0.0

    @property
    def line(self) -> str:
        """The style of the arm's line; dashed where a colour is used again."""
        return "--" if self.dashed else "-"

    @property
    def shaded(self) -> tuple[float, float, float]:
        """The arm's colour where no place tells it from its family: darker the more it prunes."""
        mixed = lightened if self.shade < 0 else darkened
        return mixed(self.colour, 0.45 * abs(self.shade))

    @property
    def ink(self) -> tuple[float, float, float]:
        """The arm's colour, darkened until small text in it is readable on white."""
        return darkened(self.colour, 0.4)


@contextmanager
def printed() -> Iterator[None]:
    """The figures' settings, within this context only."""
    with mpl.rc_context(RC):
        yield


def arm_styles(arms: Sequence[str], baseline: str | None) -> dict[str, ArmStyle]:
    """A style for each arm that depends on the set of arms, not on their order.

    The arms of a family, which differ only in how much they prune, share a colour and a marker.
    """
    others = sorted(
        families(arm for arm in arms if arm != baseline), key=lambda each: (each.name, each.arms)
    )
    styles = {}
    for i, family in enumerate(others):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        last = len(family.arms) - 1
        for place, arm in enumerate(family.arms):
            shade = 2 * place / last - 1 if last else 0.0
            styles[arm] = ArmStyle(colour, marker, i >= len(COLOURS), shade)
    if baseline is not None:
        styles[baseline] = ArmStyle(BASELINE_COLOUR, BASELINE_MARKER)
    return styles


def darkened(colour: str, share: float) -> tuple[float, float, float]:
    """A colour with this share of black mixed in."""
    red, green, blue = to_rgb(colour)
    return red * (1 - share), green * (1 - share), blue * (1 - share)


def lightened(colour: str, share: float) -> tuple[float, float, float]:
    """A colour with this share of white mixed in."""
    red, green, blue = to_rgb(colour)
    return red + (1 - red) * share, green + (1 - green) * share, blue + (1 - blue) * share


def watermark(figure: Figure, standing: Standing) -> Text | None:
    """SIMULATED across a figure whose energy comes from a stand-in device."""
    if not standing.simulated:
        return None
    mark = figure.text(0.5, 0.5, "SIMULATED", fontsize=46, color="#b00020", alpha=0.16)
    mark.set(ha="center", va="center", rotation=20, fontweight="bold", in_layout=False)
    return mark


def save(figure: Figure, frame: pd.DataFrame, out: Path, name: str) -> None:
    """Write `name`.svg, .pdf, .png and .csv, byte for byte the same for the same input."""
    out.mkdir(parents=True, exist_ok=True)
    for kind in ("svg", "pdf", "png"):
        write(figure, out / f"{name}.{kind}", kind)
    write_csv(frame, out / f"{name}.csv")


def write(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure whose layout is frozen, as "svg", "pdf" or "png".

    `Figure.savefig` draws everything once more beforehand, to lay it out; here nothing moves.
    """
    bare = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    undated = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    before = figure.dpi
    with printed(), mpl.rc_context({"svg.hashsalt": path.stem}), _without_layout_tables():
        try:
            if kind == "svg":
                FigureCanvasSVG(figure).print_svg(path, metadata=bare)
            elif kind == "pdf":
                FigureCanvasPdf(figure).print_pdf(path, metadata=undated)
            else:
                figure.set_dpi(PNG_DPI)
                FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
        finally:
            figure.set_dpi(before)


_DROPPED = "_drop_tables_default"
"""Where fontTools keeps its defaults, from which Matplotlib begins."""


@contextmanager
def _without_layout_tables() -> Iterator[None]:
    """Leave out of embedded fonts what only shapes text: PDF files place each glyph themselves.

    Cutting these tables down to the glyphs in use would take most of the time a PDF file takes.
    """
    usual: list[str] = getattr(Options, _DROPPED, [])
    setattr(Options, _DROPPED, [*usual, "GSUB", "GPOS", "GDEF", "kern"])
    try:
        yield
    finally:
        setattr(Options, _DROPPED, usual)


def title_of(figure: Figure) -> str:
    """What stands above a figure, on one line; empty without a title."""
    titles = (figure.get_suptitle(), *(axes.get_title(loc="left") for axes in figure.axes))
    return " ".join(next(filter(None, titles), "").split())


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(inert_csv(frame), "utf-8", newline="")
