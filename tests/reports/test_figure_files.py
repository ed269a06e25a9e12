"""The files of a figure: each is drawn once, and holds what is seen and no more."""

from __future__ import annotations

import atexit
import gc
import io
import re
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont
from matplotlib.backends import _backend_pdf_ps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image

from harness.cli import report
from reports.plotting import labels, style
from reports.plotting.pdf_fonts import only_glyphs_in_use
from reports.statistics import summary
from reports.statistics.summary import summarise
from tests.reports.synthetic import make

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "Energy, kJ: −1.5 … +0.6 ± 2 × µ"


@pytest.fixture
def figure() -> Figure:
    with style.printed():
        figure = Figure(figsize=(3, 2), layout="constrained")
        figure.subplots().set_title(TEXT)
        labels.freeze(figure)
    return figure


def test_a_pdf_embeds_the_glyphs_in_use_and_nothing_that_shapes_them(
    figure: Figure, tmp_path: Path
) -> None:
    style.write(figure, tmp_path / "figure.pdf", "pdf")
    data = (tmp_path / "figure.pdf").read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    unpacked = [zlib.decompress(stream) for stream in streams]
    fonts = [TTFont(io.BytesIO(each)) for each in unpacked if each[:4] == b"\0\1\0\0"]
    assert fonts
    tables = {key for font in fonts for key in font.reader.tables}
    assert "glyf" in tables
    assert not tables & {"GSUB", "GPOS", "MATH", "OS/2", "cmap", "kern", "name", "post"}
    glyphs = [font["glyf"][name] for font in fonts for name in font.getGlyphOrder()]
    drawn = sum(glyph.numberOfContours != 0 for glyph in glyphs)
    assert drawn >= len({*TEXT} - {" "})


@pytest.mark.parametrize("family", ["DejaVu Sans", "DejaVu Sans Mono", "STIXGeneral"])
def test_a_glyph_in_a_pdf_is_that_of_its_font(family: str) -> None:
    path = fontManager.findfont(family)
    whole = TTFont(path)
    letters = whole.getBestCmap()
    # Alone, composed of others, beyond most others, and among the last, which share an advance.
    glyphs = {whole.getGlyphID(letters[ord(each)]) for each in "aé−…"}
    glyphs.add(whole["maxp"].numGlyphs - 1)
    with only_glyphs_in_use(), _backend_pdf_ps.get_glyphs_subset(path, glyphs) as made:
        cut = TTFont(_backend_pdf_ps.font_as_file(made.font))
    names, order = whole.getGlyphOrder(), cut.getGlyphOrder()
    before, after = whole.getGlyphSet(), cut.getGlyphSet()
    for glyph in glyphs:
        pens = DecomposingRecordingPen(before), DecomposingRecordingPen(after)
        before[names[glyph]].draw(pens[0])
        after[order[made.glyph_index_map[glyph]]].draw(pens[1])
        assert pens[1].value == pens[0].value
        assert cut["hmtx"][order[glyph]] == whole["hmtx"][names[glyph]]
    assert sum(bool(cut["glyf"][name].numberOfContours) for name in order) <= 2 * len(glyphs)


def test_a_png_has_the_pixels_that_are_drawn_and_nothing_transparent(
    figure: Figure, tmp_path: Path
) -> None:
    style.write(figure, tmp_path / "figure.png", "png", dpi=100)
    written = Image.open(tmp_path / "figure.png")
    assert written.mode == "RGB"
    assert written.info["dpi"] == pytest.approx((100, 100), abs=0.01)
    with style.printed():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())
    assert (drawn[..., 3] == 255).all()
    assert (np.asarray(written) == drawn[..., :3]).all()


def test_the_labels_of_axes_stay_where_the_first_file_has_them(
    figure: Figure, tmp_path: Path
) -> None:
    axes = figure.axes[0]
    axes.set(xlabel="epoch", ylabel="energy", ylim=(0, 1e7))
    (tmp_path / "again").mkdir()
    style.write(figure, tmp_path / "figure.svg", "svg")
    style.save(figure, pd.DataFrame(), tmp_path / "saved", "figure")
    places = [axis.label.get_position() for axis in (axes.xaxis, axes.yaxis)]
    for kind in ("svg", "png"):
        style.write(figure, tmp_path / "again" / f"figure.{kind}", kind)
        assert [axis.label.get_position() for axis in (axes.xaxis, axes.yaxis)] == places
    first, again = (tmp_path / place / "figure.svg" for place in (".", "again"))
    assert again.read_bytes() == first.read_bytes()


def test_ticks_are_measured_for_the_first_file_alone(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    usual = Text.get_window_extent

    def watch(text: Text, *given: Any, **named: Any) -> Any:
        measured.append(text.get_text())
        return usual(text, *given, **named)

    figure.axes[0].set(xlabel="epoch", ylabel="energy", xlim=(0, 1e7), ylim=(0, 7))
    style.save(figure, pd.DataFrame(), tmp_path, "figure")
    monkeypatch.setattr(Text, "get_window_extent", watch)
    style.write(figure, tmp_path / "figure.png", "png")
    # Those of x have an offset, 1e7, whose place depends on them.
    assert set(measured) == {"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}


def test_a_text_is_laid_out_once_a_file(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[tuple[Text, str]] = Counter()
    usual: Any = Text._get_layout  # type: ignore[attr-defined]

    def watch(text: Text, renderer: Any) -> Any:
        asked[text, text.get_text()] += 1
        return usual(text, renderer)

    monkeypatch.setattr(Text, "_get_layout", watch)
    figure.legend(figure.axes[0].plot([1, 2]), ["dense"], loc="upper left")
    style.write(figure, tmp_path / "figure.png", "png")
    assert {"dense", TEXT, "1.0"} <= {words for _, words in asked}
    assert {*asked.values()} == {1}
    assert Text._get_layout is watch  # type: ignore[attr-defined]


def test_browsers_may_choose_other_fonts_which_are_not_searched_for(
    figure: Figure, tmp_path: Path
) -> None:
    style.write(figure, tmp_path / "figure.svg", "svg")
    svg = (tmp_path / "figure.svg").read_text("utf-8")
    assert "'DejaVu Sans', 'Verdana', 'Arial', sans-serif" in svg
    with style.printed():
        assert mpl.rcParams["font.sans-serif"] == ["DejaVu Sans"]


def test_a_study_is_summed_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    usual = summary.decide
    monkeypatch.setattr(summary, "decide", lambda *a: calls.append("") or usual(*a))
    results, other = make(), make()
    assert summarise(results) is summarise(results)
    assert len(calls) == 1
    assert summarise(other) is not summarise(results)
    assert len(calls) == 2


@pytest.mark.parametrize("enabled", [True, False])
def test_cycles_are_searched_for_after_a_report_as_before(
    enabled: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(report, "Tables", lambda _: seen.append(gc.isenabled()) or 1 / 0)
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            report.make_report((str(tmp_path),), None)
        assert seen == [False]
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_a_report_made_is_searched_neither_at_once_nor_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[list[int]] = []
    searched: list[str] = []
    at_end: list[Any] = []
    monkeypatch.setattr(atexit, "register", at_end.append)
    monkeypatch.setattr(report, "Tables", lambda _: made.extend([] for _ in range(9999)) or 1 / 0)

    def watch(phase: str, _: dict[str, int]) -> None:
        searched.append(phase)

    gc.callbacks.append(watch)
    try:
        with pytest.raises(ZeroDivisionError):
            report.make_report((str(tmp_path),), None)
        made.append([])
    finally:
        gc.callbacks.remove(watch)
    assert not searched
    assert at_end == [gc.freeze]
