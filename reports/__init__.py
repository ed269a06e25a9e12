"""Statistics, figures and the offline page of studies, derived from their tidy tables.

Nothing heavy is imported here, so that `import reports` costs nothing on a command's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults

__all__ = ["build"]


def build(*studies: StudyResults, out: Path) -> Path:
    """Write the page `out/index.html` with its figures and tables, and return its path."""
    from reports.html.page import build as build_page

    return build_page(studies, out)
