"""A comparison as a comment on a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables.comparison import comparison_table
from reports.tables.formats import as_markdown
from reports.wording.comparison import told_gate
from reports.wording.comparison_notes import remarks, sides
from reports.wording.inert import in_markdown, quiet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.analysis.comparison import Comparison
    from reports.analysis.gates import Checked


def as_comment(comparison: Comparison, checked: Iterable[Checked]) -> str:
    """How each threshold fared, then the table, then what to know about it."""
    gates = [f"**{each.outcome}**: {in_markdown(told_gate(each))}" for each in checked]
    parts = [
        _listed(map(in_markdown, sides(comparison))),
        _listed(gates),
        as_markdown(comparison_table(comparison)).strip() if comparison.arms else "",
        _listed(map(in_markdown, remarks(comparison))),
    ]
    return quiet("\n\n".join(filter(None, parts)))


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
