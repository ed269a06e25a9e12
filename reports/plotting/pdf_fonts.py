"""Fonts in PDF files: of a TrueType font, what draws the glyphs in use.

Matplotlib has fontTools read a font as a whole and number the glyphs in use again, which takes a
third of the time of a PDF file. Here their outlines are copied unread and keep their numbers; the
others become empty.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from fontTools import subset
from fontTools.ttLib.tables.DefaultTable import DefaultTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRAW = {"cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep"}
"""The tables that a PDF file needs (ISO 32000-1, 9.9); it says itself which glyph is which letter.

The others shape text, name glyphs and describe the font.
"""
_WIDE_NUMBERS, _ONE_SCALE, _TWO_SCALES, _FOUR_SCALES, _MORE = 0x01, 0x08, 0x40, 0x80, 0x20
"""Flags of a glyph's component (OpenType, table glyf)."""


@contextmanager
def only_glyphs_in_use() -> Iterator[None]:
    """Within this context PDF files embed only these."""
    usual = subset.Subsetter
    subset.Subsetter = _Copier
    try:
        yield
    finally:
        subset.Subsetter = usual


class _Copier(subset.Subsetter):  # type: ignore[misc]  # untyped in fontTools
    """A subsetter that copies; fonts with outlines in other formats are left to fontTools."""

    def subset(self, font: Any) -> None:
        if "glyf" not in font:
            super().subset(font)
            return
        for table in {*font.keys()} - _DRAW - {"GlyphOrder"}:
            del font[table]
        _keep(font, self.glyph_ids_requested)
        self.glyph_index_map = {glyph: glyph for glyph in self.glyph_ids_requested}


def _keep(font: Any, glyphs: set[int]) -> None:
    """Empty all other glyphs of a font, and end it after the last that is kept."""
    head, hhea, maxp = font["head"], font["hhea"], font["maxp"]
    unit, width = (1, ">u4") if head.indexToLocFormat else (2, ">u2")
    starts = np.frombuffer(font.reader["loca"], width).astype(int) * unit
    drawn = font.reader["glyf"]
    kept: dict[int, bytes] = {}
    missing = {0, *glyphs}
    while missing:
        glyph = missing.pop()
        kept[glyph] = drawn[starts[glyph] : starts[glyph + 1]]
        missing |= _components(kept[glyph]) - kept.keys()
    count = max(kept) + 1
    ends = np.zeros(count + 1, ">u4")
    metrics = np.zeros((count, 2), ">u2")
    # Advance and bearing of each glyph; of the last ones the bearing, and the same advance.
    shared = hhea.numberOfHMetrics - 1
    numbers = np.frombuffer(font.reader["hmtx"], ">u2")
    outlines = []
    for glyph, outline in sorted(kept.items()):
        outlines.append(outline + bytes(-len(outline) % 4))
        ends[glyph + 1] = len(outlines[-1])
        advance = 2 * min(glyph, shared)
        metrics[glyph] = numbers[advance], numbers[advance + 1 + max(glyph - shared, 0)]
    for name, data in (
        ("glyf", b"".join(outlines)),
        ("loca", ends.cumsum().astype(">u4").tobytes()),
        ("hmtx", metrics.tobytes()),
    ):
        font[name] = DefaultTable(name)
        font[name].data = data
    head.indexToLocFormat = 1
    hhea.numberOfHMetrics = maxp.numGlyphs = count


def _components(outline: bytes) -> set[int]:
    """The glyphs that a glyph is composed of, such as a letter and its accent; most are of none."""
    found: set[int] = set()
    if not outline or outline[0] < 0x80:  # the number of contours is not negative
        return found
    at, flags = 10, _MORE
    while flags & _MORE:
        flags, glyph = struct.unpack_from(">2H", outline, at)
        found.add(glyph)
        at += 8 if flags & _WIDE_NUMBERS else 6
        for flag, size in ((_ONE_SCALE, 2), (_TWO_SCALES, 4), (_FOUR_SCALES, 8)):
            at += size if flags & flag else 0
    return found
