"""The page of registered claims: one HTML file that sorts and opens offline."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reports.html.page import template

if TYPE_CHECKING:
    from pathlib import Path

    from reports.tables.table import Table


def write_claims_page(table: Table, path: Path) -> None:
    """Write the table of `reports.tables.registered_claims` as a page.

    Raises:
        OSError: It cannot be written there.
    """
    counts = Counter(str(record["verdict"]).partition(",")[0] for record in table.records)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    page = template("claims.html.j2").render(
        content=table, counted=f"{len(table.records)} claims: {counted}."
    )
    path.write_text(page, encoding="utf-8", newline="\n")
