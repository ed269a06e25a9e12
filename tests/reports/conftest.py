"""Pages of which no more is drawn than a test looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reports.plotting import style


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are empty files: for tests of a page's own text."""
    empty = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    monkeypatch.setattr(style, "write", lambda _figure, path, _kind: path.write_text(empty))


@contextmanager
def for_a_browser() -> Iterator[None]:
    """Files of figures that no page shows, all but SVG, are empty."""
    write = style.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            style,
            "write",
            lambda figure, path, kind: write(figure, path, kind) if kind == "svg" else path.touch(),
        )
        yield
