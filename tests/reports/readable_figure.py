"""Where the texts of a figure are, so that tests can see whether they can be read."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from reports.plotting import style
from reports.plotting.labels import renderer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    from reports.figures.figure_result import Figured

SLACK_PX = 0.5
SMALLEST_PT = 7.0


def texts(figure: Figure) -> Iterator[Text]:
    """Every text that is drawn, except a watermark."""
    figure.draw_without_rendering()
    yield from (text for text in figure.texts if text.get_text() != "SIMULATED")
    for legend in figure.legends:
        yield from legend.get_texts()
    for axes in figure.axes:
        yield from (axes.title, axes._left_title, axes._right_title, *axes.texts)
        for axis in (axes.xaxis, axes.yaxis):
            yield axis.label
            yield from (tick.label1 for tick in axis._update_ticks())


def assert_same_bytes(draw: Callable[[], Figured | None], folder: Path) -> None:
    """Drawn and saved twice, every file is the same."""
    for turn in ("first", "second"):
        figured = draw()
        assert figured is not None
        style.save(figured.figure, figured.frame, folder / turn, "figure")
    saved = sorted((folder / "first").iterdir())
    assert {path.suffix for path in saved} == {".svg", ".pdf", ".png", ".csv"}
    for path in saved:
        assert path.read_bytes() == (folder / "second" / path.name).read_bytes(), path.suffix


def assert_readable(figure: Figure) -> None:
    """Every text is large enough, within the figure, and clear of every other."""
    with style.printed():
        renderer = renderer_of(figure.axes[0])
        shown = [text for text in texts(figure) if text.get_visible() and text.get_text()]
        boxes: list[tuple[str, Bbox]] = [
            (text.get_text(), text.get_window_extent(renderer)) for text in shown
        ]
        whole = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    assert all(text.get_fontsize() >= SMALLEST_PT for text in shown)
    for name, box in [("the whole", whole), *boxes]:
        assert box.x0 >= -SLACK_PX, name
        assert box.y0 >= -SLACK_PX, name
        assert box.x1 <= figure.bbox.x1 + SLACK_PX, name
        assert box.y1 <= figure.bbox.y1 + SLACK_PX, name
    for (one, first), (other, second) in combinations(boxes, 2):
        overlap = first.padded(-SLACK_PX).overlaps(second.padded(-SLACK_PX))
        assert not overlap, f"{one!r} lies on {other!r}"
