"""The page: one HTML file that opens offline, and the files it links to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.spec import folder_name
from reports.figures.gallery import ACROSS
from reports.page.section import plate, section
from reports.page.unbroken import unbroken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reports.data import StudyResults


def build(studies: Sequence[StudyResults], out: Path) -> Path:
    """Write `index.html` and the files of all figures and tables into `out`.

    With one study these lie in `figures/` and `tables/`, else in such folders a study.

    Returns:
        The page's path.
    """
    several = len(studies) > 1
    out.mkdir(parents=True, exist_ok=True)
    across = []
    if several:
        drawn = ((name, draw(studies)) for name, draw in ACROSS.items())
        across = [plate(name, figured, out, "", "across") for name, figured in drawn if figured]
    sections = []
    for number, results in enumerate(studies, start=1):
        if number > 1:
            # The figures of a study hold each other; a caller may have put off looking for such.
            gc.collect()
        folder = f"{number}-{folder_name(results.study)}/" if several else ""
        sections.append(section(results, out, folder, f"study-{number}"))
    environment = Environment(
        loader=PackageLoader("reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    page = environment.get_template("page.html.j2").render(
        title=", ".join(each.study for each in sections), sections=sections, across=across
    )
    path = out / "index.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path
