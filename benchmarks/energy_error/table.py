"""The records as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.energy_error.runner import TOOLS
from benchmarks.energy_error.waves import WAVES

Records = Sequence[dict[str, Any]]


def error_percent(record: dict[str, Any]) -> float:
    """How far a trial's figure is off, as a share of the truth."""
    return 100 * (record["energy_j"] / record["truth_j"] - 1)


def errors_table(records: Records, names: Sequence[str]) -> str:
    """A tool a row: mean (standard deviation), and the worst of its errors."""
    rows = [["error in %: mean (sd), worst", *WAVES]]
    for name in names:
        own = [each for each in records if each["tool"] == name]
        good = [each for each in own if "failed" not in each]
        if own and not good:
            rows.append([name, f"not run: {own[0]['failed']}", *[""] * (len(WAVES) - 1)])
            continue
        rows.append([name, *(_cell([e for e in own if e["wave"] == wave]) for wave in WAVES)])
    return _markdown(rows)


def uncertainty_table(records: Records, names: Sequence[str]) -> str:
    """What ours says of its own error, and how often the truth lies within.

    The stand-in's gain is right, so that the share of the uncertainty that stands for a wrong one
    would make any coverage perfect: it is left out of the second figure and of the coverage.
    """
    rows = [["stated, in % (without gain), truth within the latter", *WAVES]]
    for name in names:
        good = [e for e in records if e["tool"] == name and "uncertainty_without_gain_j" in e]
        cells = [_stated([e for e in good if e["wave"] == wave]) for wave in WAVES]
        if good:
            rows.append([name, *cells])
    return _markdown(rows) if len(rows) > 1 else ""


def _cell(own: Records) -> str:
    errors = [error_percent(each) for each in own if "failed" not in each]
    failed = f"; {len(own) - len(errors)} failed" if len(errors) < len(own) else ""
    if not errors:
        return f"–{failed}"
    spread = f" ({statistics.stdev(errors):.2g})" if len(errors) > 1 else ""
    worst = max(errors, key=abs)
    return f"{_signed(statistics.mean(errors))}{spread}, {_signed(worst)}{failed}"


def _signed(percent: float) -> str:
    text = f"{percent:+.2f}" if abs(percent) < 10 else f"{percent:+.0f}"
    return text.replace("-", "−")


def _stated(own: Records) -> str:
    if not own:
        return "–"
    whole = statistics.mean(100 * each["uncertainty_j"] / each["truth_j"] for each in own)
    rest = [100 * each["uncertainty_without_gain_j"] / each["truth_j"] for each in own]
    inside = sum(abs(error_percent(each)) <= limit for each, limit in zip(own, rest, strict=True))
    return f"±{whole:.2g} (±{statistics.mean(rest):.2g}), {inside} of {len(own)}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def summary(records: Records) -> str:
    """How many trials of each wave a tool has had."""
    first = next(iter(TOOLS))
    tools = {each["tool"] for each in records}
    name = first if first in tools else min(tools)
    own = [each["wave"] for each in records if each["tool"] == name]
    return ", ".join(f"{own.count(wave)} x {wave}" for wave in WAVES)
