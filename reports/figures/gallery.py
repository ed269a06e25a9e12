"""Which figures a report has, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.figures import (
    break_even,
    co2_hours,
    decomposition,
    energy_phases,
    lifetime,
    mask_distances,
    matched_score,
    paired_differences,
    performance_profile,
    power_time,
    score_curves,
    score_energy,
    ticket_emergence,
    tuning_sensitivity,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured

FIGURES: dict[str, Callable[[StudyResults], Figured | None]] = {
    module.NAME: module.draw
    for module in (
        score_energy,
        paired_differences,
        matched_score,
        energy_phases,
        score_curves,
        break_even,
        lifetime,
        decomposition,
        tuning_sensitivity,
        power_time,
        mask_distances,
        ticket_emergence,
        co2_hours,
    )
}
"""From a figure's name to the function that draws it for one study, or returns None."""

FORMER_NAMES = {
    "accuracy_energy": score_energy.NAME,
    "accuracy_curves": score_curves.NAME,
    "matched_accuracy": matched_score.NAME,
}
"""Names of figures from when every score was an accuracy, which commands still take."""

ACROSS: dict[str, Callable[[Sequence[StudyResults]], Figured | None]] = {
    performance_profile.NAME: performance_profile.draw
}
"""The same for several studies together."""
