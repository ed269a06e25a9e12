"""When a ticket settles: the distance between any two channel masks of a run (You et al., 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import chosen, panels
from reports.plotting.svg_ids import Marks
from reports.text.captions import Ticket, ticket_of
from reports.text.units import fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.results.run_detail import CloseUp
    from reports.data import StudyResults

NAME = "mask_distances"
_TICKS = 5


@dataclass(frozen=True)
class _Panel:
    """One arm's run: its masks, and where its ticket was drawn, if that was recorded."""

    close_up: CloseUp
    ticket: Ticket | None

    @property
    def title(self) -> str:
        """The line below the arm's name."""
        ticket = f", {self.ticket.words}" if self.ticket else ""
        return f"seed {self.close_up.seed}{ticket}"

    @property
    def drawn(self) -> int | None:
        """The number of the last look before the ticket was drawn."""
        if self.ticket is None:
            return None
        before = np.flatnonzero(self.close_up.mask_epochs <= self.ticket.epoch)
        return int(before[-1]) if len(before) else None


def draw(results: StudyResults) -> Figured | None:
    """A matrix for one run of each arm that looked at masks; None if there is none."""
    looked = [
        arm
        for arm, close_up in results.close_ups.items()
        if len(close_up.mask_epochs) >= 2 and arm in results.arms
    ]
    if not looked:
        return None
    arms, left_out = chosen([arm for arm in results.arms if arm in looked])
    found = {
        arm: _Panel(results.close_ups[arm], ticket_of(results, arm, results.close_ups[arm].seed))
        for arm in arms
    }
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, found, marks)
    caption = (
        "Mask distance between any two channel masks that a run looked at while it searched: the "
        "share of channels that one keeps and the other drops (normalised Hamming distance; "
        "You et al., 2020). Each panel is one run, the one of the method's median energy; "
        "a dark square along the diagonal is a mask that no longer changes. White lines: the epoch "
        f"after which the ticket was drawn. {left_out}"
    ).strip()
    brief = (
        "Distance between any two channel masks of a search (share of channels that differ), for "
        "one run of each method. White lines: the epoch after which the ticket was drawn."
    )
    alt = "Matrices of distances between channel masks. " + " ".join(
        _summary(arm, panel) for arm, panel in found.items()
    )
    return Figured(figure, _frame(found), caption, alt, marks, brief=brief)


def _summary(arm: str, panel: _Panel) -> str:
    """One run's finding in words."""
    distances = panel.close_up.mask_distances
    first, last = distances[0, 1], distances[-1, -2]
    return (
        f"{arm}, {panel.title}: distance of neighbouring masks {fixed(first, 3)} at first and "
        f"{fixed(last, 3)} at the end, of the farthest two {fixed(distances.max(), 3)}."
    )


def _frame(found: dict[str, _Panel]) -> pd.DataFrame:
    """One row per pair of looks, the later one second."""
    parts = []
    for arm, panel in found.items():
        earlier, later = np.triu_indices(len(panel.close_up.mask_epochs), k=1)
        parts.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "seed": panel.close_up.seed,
                    "epoch": panel.close_up.mask_epochs[earlier],
                    "later_epoch": panel.close_up.mask_epochs[later],
                    "distance": panel.close_up.mask_distances[earlier, later],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _draw(results: StudyResults, found: dict[str, _Panel], marks: Marks) -> Figure:
    largest = max(float(panel.close_up.mask_distances.max()) for panel in found.values())
    looks = style.arm_styles(results.arms, results.baseline_arm)
    titles = {arm: panel.title for arm, panel in found.items()}
    height_in = {1: 3.4, 2: 3.2, 4: 3.2}.get(len(found), 2.2)
    figure, grid = panels(
        titles,
        looks,
        marks,
        title="Distances between the masks of a search",
        xlabel="Epochs trained",
        ylabel="Epochs trained",
        height_in=height_in,
        square=True,
    )
    image = None
    for arm, axes in grid.items():
        image = axes.imshow(
            found[arm].close_up.mask_distances,
            cmap="cividis",
            vmin=0.0,
            vmax=largest or 1.0,
            interpolation="none",
        )
        axes.grid(visible=False)
        _name_epochs(axes, found[arm].close_up.mask_epochs.tolist())
        if (drawn := found[arm].drawn) is not None:
            for line in (axes.axhline, axes.axvline):
                line(drawn, color=style.INK, lw=2.2, alpha=0.5)
                line(drawn, color="white", lw=1.1)
    if image is not None:
        place = "right" if len(grid) == 1 else "bottom"
        bar = figure.colorbar(
            image, ax=list(grid.values()), location=place, shrink=0.9, aspect=30, pad=0.03
        )
        bar.set_label("Mask distance (share of channels)")
        bar.outline.set_visible(False)
    labels.freeze(figure)
    return figure


def _name_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Ticks at round epochs at which there was a look; rows are looks, not epochs."""
    wanted = MaxNLocator(_TICKS, integer=True, steps=[1, 2, 5, 10]).tick_values(
        epochs[0], epochs[-1]
    )
    ticks = [epochs.index(round(epoch)) for epoch in wanted if round(epoch) in epochs]
    if len(ticks) < 2:
        ticks = [0, len(epochs) - 1]
    names = [str(epochs[tick]) for tick in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
