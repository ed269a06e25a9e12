"""How stages of a decomposition are called, and how far it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.analysis.decomposition import Decomposition, Level

START = "start"
NOT_RUN = "not run"


def named(level: Level) -> str:
    """What a stage is called: "precision", or "input and precision" if one was passed over."""
    *others, last = level.factors or (START,)
    text = f"{', '.join(others)} and {last}" if others else last
    begins = level.reached is not None and level.reached.step is None
    return f"{START}, with {text}" if begins and text != START else text


def order(found: Decomposition) -> str:
    """What a reader must know before taking a step for the factor's own share."""
    text = (
        "What a factor saves depends on the ones before it: in another order the steps would "
        "differ, the total would not."
    )
    steps = [level for level in found.levels if level.reached and level.reached.step]
    spans = [named(level) for level in steps if len(level.factors) > 1]
    if spans:
        text += f" Not every stage was run, so that one step stands for {'; one for '.join(spans)}."
    if found.mixed:
        text += f" The energies are {found.mixed}: ratios between them mean little."
    return text
