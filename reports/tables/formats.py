"""A table as CSV, Markdown and LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.safe_csv import in_markdown, inert_csv, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from reports.tables.table import Cell, Table


def save(table: Table, out: Path) -> None:
    """Write `name`.csv, .md and .tex; the same bytes for the same table on every system."""
    out.mkdir(parents=True, exist_ok=True)
    for suffix, text in (
        ("csv", as_csv(table)),
        ("md", as_markdown(table)),
        ("tex", as_latex(table)),
    ):
        (out / f"{table.name}.{suffix}").write_text(text, encoding="utf-8", newline="\n")


def as_csv(table: Table) -> str:
    """For programs and spreadsheets: the columns of the schema, values in base units."""
    return inert_csv(table.frame())


def as_markdown(table: Table) -> str:
    """A pipe table; a note follows its cell in brackets."""
    names = [in_markdown(name) for name in table.header]
    lines = [names, ["---:" if numeric else "---" for numeric in table.numeric]]
    lines += [[in_markdown(_whole(cell)) for cell in row] for row in table.rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{in_markdown(table.legend)}\n" if table.legend else f"{text}\n"


def as_latex(table: Table) -> str:
    """A tabular in the style of the booktabs package, without floats or captions."""
    names = " & ".join(_in_latex(name) for name in table.header)
    rows = [" & ".join(_in_latex(_whole(cell)) for cell in row) + r" \\" for row in table.rows]
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    lines = [
        "% \\usepackage{booktabs}",
        f"% {' '.join(table.legend.split())}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"{names} \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _whole(cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if cell.note and cell.text else cell.text or cell.note


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "…": r"\dots{}",
    "–": "--",
    "“": "``",
    "”": "''",
    "’": "'",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "ε": r"$\varepsilon$",
    "∞": r"$\infty$",
}


def _in_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in one_line(text))
    return escaped.replace("CO2e", r"CO$_2$e")
