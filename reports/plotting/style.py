"""The style of every figure, and how figures are saved."""

from __future__ import annotations

import re
import struct
import textwrap
import zlib
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.backends.backend_pdf
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from harness.results.safe_csv import inert_csv
from reports.plotting.pdf_fonts import only_glyphs_in_use
from reports.statistics.arm_groups import arm_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from reports.statistics.energy_kind import EnergyKinds

WIDTH_IN = 6.6
NARROW_IN = 5.0
"""Up to this width at most two panels stand side by side."""
SMALLEST_PT = 7.0
"""No text is drawn smaller."""
MIN_FONT_PT = 6.0
"""Nor printed smaller than this."""
PNG_DPI = 200
_SVG_DPI = 72
"""Matplotlib's, of SVG and PDF files."""
_COMPRESSED = 3
"""Of 9: at 4, a PNG file takes half as long again to compress and becomes 7 % smaller."""
_INCH_M = 0.0254
BASELINE_COLOUR = "#63666a"
INK = "#1a1a1a"
MUTED = "#6b6b6b"
SEPARATOR = "#e6e6e6"
"""Of a grid, and of rows from each other: what need not be seen to read a figure."""
HATCH = "/////"

MIN_CONTRAST = 3.0
"""Of lines and marks against white (WCAG 2.1, success criterion 1.4.11)."""
# Each at least 4.5 : 1 against white, which leaves room for fainter shades; hue and lightness vary,
# and markers differ as well, for readers who cannot distinguish some hues.
COLOURS = (
    "#2a78c2",
    "#c85200",
    "#832db6",
    "#00806e",
    "#b0307f",
    "#8c5a47",
    "#6f7a12",
    "#3d4fb0",
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
    # Nothing stands above an axes that its title would have to make way for.
    "axes.titley": 1.0,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    # The bundled font, so that the layout is the same on every machine.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "grid.color": SEPARATOR,
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


Colour = str | tuple[float, float, float]


@dataclass(frozen=True)
class ArmStyle:
    """How one arm is drawn in every figure.

    Attributes:
        colour: Its group's.
        marker: Its group's.
        dashed: Whether its lines are, because the colour is used again.
        shade: Where it stands among the levels of its group, from -1 (least pruned) to 1; 0 for
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
        """The arm's colour where its place does not show its level: darker the more it prunes."""
        if self.shade < 0:
            return lightened(self.colour, _room(self.colour) * -self.shade)
        return darkened(self.colour, 0.55 * self.shade)

    @property
    def faint(self) -> tuple[float, float, float]:
        """The arm's colour for what stands behind: as light as stands out from white."""
        return lightened(self.colour, _room(self.colour))

    @property
    def ink(self) -> tuple[float, float, float]:
        """The arm's colour, darkened until small text in it is readable on white."""
        return darkened(self.colour, 0.4)


@dataclass(frozen=True)
class Format:
    """What a person may ask of a figure.

    Attributes:
        width_in: As it will be printed.
        font: Its name, of those that are installed; empty for the bundled one.
        titled: Whether its title stands above it.
    """

    width_in: float = WIDTH_IN
    font: str = ""
    titled: bool = True

    @property
    def scale(self) -> float:
        """By how much a drawing shrinks in print, so that its smallest text has `MIN_FONT_PT`."""
        return min(1.0, max(self.width_in / WIDTH_IN, MIN_FONT_PT / SMALLEST_PT))

    @property
    def drawn_in(self) -> float:
        """How wide it is drawn, before it shrinks."""
        return self.width_in / self.scale


_BROWSERS_FONTS = ["Verdana", "Arial"]
"""Where a browser lacks the bundled font; Verdana has nearly the same widths."""
_PDF: Any = matplotlib.backends.backend_pdf
"""Untyped in Matplotlib."""
_USUAL = Format()
_FORMAT: ContextVar[Format] = ContextVar("format", default=_USUAL)


@contextmanager
def formatted(asked: Format) -> Iterator[None]:
    """Figures drawn and written within this context have the format."""
    token = _FORMAT.set(asked)
    try:
        yield
    finally:
        _FORMAT.reset(token)


def width_in() -> float:
    """How wide a figure is drawn."""
    return _FORMAT.get().drawn_in


def fitting(letters: int) -> int:
    """How many letters fit, given how many do at the usual width."""
    return max(8, round(letters * min(1.0, width_in() / WIDTH_IN)))


def fitting_columns(columns: int) -> int:
    """At most two panels side by side where the figure is narrow."""
    return columns if width_in() > NARROW_IN else min(columns, 2)


def set_title(target: Figure | Axes, text: str, **look: Any) -> None:
    """The title of a figure, above all of it or above its only axes; none if none is wanted."""
    if not _FORMAT.get().titled:
        return
    if isinstance(target, Axes):
        target.set_title(wrapped(text, 80), **look)
    else:
        target.suptitle(wrapped(text, 80), x=0.01, ha="left", fontsize=10, **look)


def wrapped(text: str, letters: int) -> str:
    """A text on as many lines as it needs at the width of the figure."""
    return "\n".join(textwrap.wrap(text, fitting(letters), break_on_hyphens=False)) or text


@contextmanager
def printed() -> Iterator[None]:
    """The figures' settings, within this context only."""
    font = _FORMAT.get().font
    fonts = [*([font] if font else []), *RC["font.sans-serif"]]
    with mpl.rc_context({**RC, "font.sans-serif": fonts}):
        yield


def arm_styles(arms: Sequence[str], baseline: str | None) -> dict[str, ArmStyle]:
    """A style for each arm that depends on the set of arms, not on their order.

    The arms of a group, which differ only in how much they prune, share a colour and a marker.
    """
    others = sorted(
        arm_groups(arm for arm in arms if arm != baseline), key=lambda each: (each.name, each.arms)
    )
    styles = {}
    for i, group in enumerate(others):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        last = len(group.arms) - 1
        for place, arm in enumerate(group.arms):
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


def luminance(colour: Colour) -> float:
    """Relative luminance, from 0 (black) to 1 (white), as WCAG 2.1 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: Colour, ground: Colour = "white") -> float:
    """The ratio of luminances by which a colour stands out, from 1 to 21 (WCAG 2.1)."""
    high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@cache
def _room(colour: str) -> float:
    """The most white that a colour can take and keep `MIN_CONTRAST`, a share of 1."""
    shares = (share / 100 for share in range(100, -1, -1))
    return next(s for s in shares if contrast(lightened(colour, s)) >= MIN_CONTRAST)


def watermark(figure: Figure, standing: EnergyKinds) -> Text | None:
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
        if kind == "svg":
            _pin_labels(figure)
    write_csv(frame, out / f"{name}.csv")


def _pin_labels(figure: Figure) -> None:
    """Keep the labels of axes where an SVG file just got them.

    To find their places again, each file would measure the text of all ticks twice.
    """
    before = figure.dpi
    figure.dpi = _SVG_DPI
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            place = axis.label.get_transform().transform(axis.label.get_position())
            axis.set_label_coords(*axes.transAxes.inverted().transform(place))
            # An offset, such as "1e6", stands beyond what ticks have in the layout.
            for tick in axis.get_ticklabels():
                tick.set_in_layout(bool(axis.offsetText.get_text()))
    figure.dpi = before


@contextmanager
def texts_laid_out_once() -> Iterator[None]:
    """Within this context, in which no text may change its looks, each is laid out once.

    Matplotlib lays a text out whenever it asks for its size, such as at each level of a legend.
    """
    drawn: Any = Text
    usual = drawn._get_layout  # noqa: SLF001 - all that measures a text calls it
    known: dict[tuple[Text, Any, str], Any] = {}

    def once(text: Text, renderer: Any) -> Any:
        key = text, renderer, text.get_text()
        if key not in known:
            known[key] = usual(text, renderer)
        return known[key]

    drawn._get_layout = once  # noqa: SLF001
    try:
        yield
    finally:
        drawn._get_layout = usual  # noqa: SLF001


def write(figure: Figure, path: Path, kind: str, dpi: int = PNG_DPI) -> None:
    """Write a figure whose layout is frozen, as "svg", "pdf" or "png", at the size asked for.

    `Figure.savefig` draws everything once more beforehand, to lay it out; here nothing moves.
    """
    scale, before = _FORMAT.get().scale, figure.dpi
    with (
        printed(),
        mpl.rc_context({"svg.hashsalt": path.stem}),
        only_glyphs_in_use(),
        texts_laid_out_once(),
    ):
        try:
            if kind == "svg":
                _write_svg(figure, path, scale)
            elif kind == "pdf":
                _write_pdf(figure, path, scale)
            else:
                figure.set_dpi(dpi * scale)
                _write_png(figure, path, dpi)
        finally:
            figure.set_dpi(before)


def _write_png(figure: Figure, path: Path, dpi: int) -> None:
    """Without the fourth channel, since nothing is transparent, and without filters of rows.

    Pillow tries five filters on each row, which takes twice as long as compression does and makes
    the files of a report 2 % smaller.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # the first byte says: no filter
    rows[:, 1:] = pixels[..., :3].reshape(height, -1)
    per_m = round(dpi / _INCH_M)
    chunks = {
        b"IHDR": struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0),  # 8 bits each of R, G, B
        b"pHYs": struct.pack(">2IB", per_m, per_m, 1),
        b"IDAT": zlib.compress(rows.tobytes(), _COMPRESSED),
        b"IEND": b"",
    }
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks.items():
            check = zlib.crc32(kind + data)
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check))


def _write_svg(figure: Figure, path: Path, scale: float) -> None:
    bare = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    mpl.rcParams["font.sans-serif"] = [*mpl.rcParams["font.sans-serif"], *_BROWSERS_FONTS]
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(path, metadata=bare)
    if scale < 1:
        # The view box stays: what is in it shrinks.
        sizes = zip(("width", "height"), figure.get_size_inches(), strict=True)
        text = path.read_text("utf-8")
        for name, inches in sizes:
            size = f'{name}="{inches * scale * 72:.6g}pt"'
            text = re.sub(rf'\b{name}="[\d.]+pt"', size, text, count=1)
        path.write_text(text, "utf-8", newline="\n")


def _write_pdf(figure: Figure, path: Path, scale: float) -> None:
    undated = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    width, height = figure.get_size_inches()
    dpi, figure.dpi = figure.dpi, _SVG_DPI
    file = _PDF.PdfFile(path, metadata=undated)
    try:
        file.newPage(width * scale, height * scale)
        if scale < 1:
            file.output(scale, 0, 0, scale, 0, 0, _PDF.Op.concat_matrix)
        drawn = _PDF.RendererPdf(file, dpi, height, width)
        renderer = _PDF.MixedModeRenderer(figure, width, height, dpi, drawn)
        figure.draw(renderer)
        renderer.finalize()
        file.finalize()
    finally:
        file.close()


def title_of(figure: Figure) -> str:
    """What stands above a figure, on one line; empty without a title."""
    titles = (figure.get_suptitle(), *(axes.get_title(loc="left") for axes in figure.axes))
    return " ".join(next(filter(None, titles), "").split())


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(inert_csv(frame), "utf-8", newline="")
