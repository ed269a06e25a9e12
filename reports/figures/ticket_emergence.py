"""When a ticket emerges: the distance of each new mask from those before it, against ε."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.figures.figure_result import Figured
from reports.plotting import labels, style
from reports.plotting.axes import chosen, panels
from reports.plotting.svg_ids import Marks
from reports.text.captions import Ticket, epsilon_of, ticket_of
from reports.text.units import fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.data import StudyResults

NAME = "ticket_emergence"

_KINDS = {"largest_distance": (2.0, "-"), "distance": (0.9, (0, (4, 1.5)))}
"""Width and dashes of the mean of each distance."""


@dataclass(frozen=True)
class _Search:
    """The searches of one arm: a row per look, each seed's ticket, and ε where it is known."""

    looks: pd.DataFrame
    tickets: dict[int, Ticket]
    epsilon: float | None

    @property
    def seeds(self) -> list[int]:
        """The seeds that looked at masks."""
        return sorted(int(seed) for seed in self.looks["seed"].unique())

    @property
    def title(self) -> str:
        """The line below the arm's name."""
        parts = [] if self.epsilon is None else [f"ε = {self.epsilon:g}"]
        epochs = sorted(t.epoch for t in self.tickets.values())
        if epochs:
            first, last = epochs[0], epochs[-1]
            when = f"epoch {first}" if first == last else f"epochs {first} to {last}"
            parts.append(f"ticket after {when}")
        late = sum(not t.emerged for t in self.tickets.values())
        if late:
            parts.append(f"{late} of {len(self.seeds)} never under ε")
        return ", ".join(parts)

    def mean(self, column: str) -> pd.Series:
        """The mean over seeds by epoch, up to where the first seed ends its search."""
        known = self.looks.dropna(subset=[column])
        each = known.groupby(["epochs_trained", "seed"])[column].last().unstack("seed")
        return each.reindex(columns=self.seeds).dropna().mean(axis="columns")


def draw(results: StudyResults) -> Figured | None:
    """A panel for each arm that looked at masks; None if there is none."""
    looks = results.of_finished(results.tickets)
    looks = looks.dropna(subset=["distance"])
    arms, left_out = chosen([arm for arm in results.arms if (looks["arm"] == arm).any()])
    if not arms:
        return None
    found = {arm: _search(results, arm, looks[looks["arm"] == arm]) for arm in arms}
    marks = Marks(results.arms)
    with style.printed():
        figure = _draw(results, found, marks)
    counts = sorted({len(search.seeds) for search in found.values()})
    n = " to ".join(dict.fromkeys(str(count) for count in (counts[0], counts[-1])))
    caption = (
        "Mask distance (share of channels that differ) of each new channel mask while a run "
        "searches. Bold: the largest distance to the other masks in the method's window, the mean "
        "over seeds up to where the first of them ends its search; faint: each seed. Thin and "
        "dashed: the mean distance to the last mask alone. A run draws its ticket once its largest "
        "distance is at most ε (dotted). A hollow mark is a ticket that was never under ε: it was "
        f"taken at the end of the search. {left_out}n = {n} seed{'s' * (n != '1')} per method."
    )
    brief = (
        "Distance of each new channel mask to those before it. Bold: mean over seeds of the "
        "largest in the window; faint: seeds; dotted: ε, at which a ticket is drawn. "
        f"n = {n}."
    )
    alt = "Distances of channel masks to the masks before them, by epoch. " + " ".join(
        _summary(arm, search) for arm, search in found.items()
    )
    return Figured(figure, _frame(found), caption, alt, marks, brief=brief)


def _search(results: StudyResults, arm: str, looks: pd.DataFrame) -> _Search:
    tickets = {int(seed): ticket_of(results, arm, int(seed)) for seed in looks["seed"].unique()}
    return _Search(
        looks=looks.sort_values(["seed", "order"]),
        tickets={seed: ticket for seed, ticket in tickets.items() if ticket is not None},
        epsilon=epsilon_of(results, arm),
    )


def _summary(arm: str, search: _Search) -> str:
    """One arm's finding in words."""
    ends = search.looks.groupby("seed")["largest_distance"].last().dropna()
    each = [
        f"seed {seed} {search.tickets[seed].words} (distance {fixed(ends[seed], 3)})"
        for seed in search.tickets
        if seed in ends
    ]
    epsilon = "" if search.epsilon is None else f" (ε = {search.epsilon:g})"
    return f"{arm}{epsilon}: {'; '.join(each) or 'no ticket on record'}."


def _frame(found: dict[str, _Search]) -> pd.DataFrame:
    """One row per look, with what its run's ticket came to."""
    columns = ["arm", "seed", "epochs_trained", "kept", "distance", "largest_distance"]
    parts = []
    for search in found.values():
        part = search.looks[columns].copy()
        part["max_distance"] = search.epsilon
        drawn = {seed: ticket.epoch for seed, ticket in search.tickets.items()}
        emerged = {seed: ticket.emerged for seed, ticket in search.tickets.items()}
        part["ticket_epoch"] = part["seed"].map(drawn).astype("Int64")
        part["ticket_emerged"] = part["seed"].map(emerged).astype("boolean")
        parts.append(part.astype({"max_distance": "float64"}))
    return pd.concat(parts, ignore_index=True)


def _draw(results: StudyResults, found: dict[str, _Search], marks: Marks) -> Figure:
    looks = style.arm_styles(results.arms, results.baseline_arm)
    figure, grid = panels(
        {arm: search.title for arm, search in found.items()},
        looks,
        marks,
        title="When the ticket emerges",
        xlabel="Epochs trained",
        ylabel="Mask distance",
        height_in={1: 2.6, 2: 2.2, 3: 1.9}.get(len(found), 1.5),
    )
    for arm, axes in grid.items():
        _draw_search(axes, arm, found[arm], looks[arm], marks)
    axes = next(iter(grid.values()))
    axes.set_ylim(bottom=0)
    epochs = [search.looks["epochs_trained"] for search in found.values()]
    first, last = min(each.min() for each in epochs), max(each.max() for each in epochs)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(6 if len(grid) < 3 else 4, integer=True, min_n_ticks=1)
    )
    labels.legend_below(figure, *_legend())
    return figure


def _draw_search(axes: Axes, arm: str, search: _Search, look: style.ArmStyle, marks: Marks) -> None:
    """Each seed faint, the means, ε, and where tickets were drawn."""
    for seed in search.seeds:
        own = search.looks[search.looks["seed"] == seed]
        axes.plot(
            own["epochs_trained"],
            own["largest_distance"],
            color=look.faint,
            lw=0.7,
        )
    for column, (width, dashes) in _KINDS.items():
        mean = search.mean(column)
        axes.plot(mean.index, mean, color=look.colour, lw=width, ls=dashes)
    if search.epsilon is not None:
        axes.axhline(search.epsilon, color=style.INK, lw=0.9, ls=":")
    for seed, ticket in search.tickets.items():
        own = search.looks[search.looks["seed"] == seed].set_index("epochs_trained")
        if ticket.epoch not in own.index:
            continue
        at = own.loc[[ticket.epoch], ["largest_distance", "distance"]].iloc[-1]
        height = at["largest_distance"] if math.isfinite(at["largest_distance"]) else at["distance"]
        [mark] = axes.plot(
            *([ticket.epoch], [height], look.marker),
            ms=6,
            mew=1.3,
            mec=look.colour,
            mfc=look.colour if ticket.emerged else "white",
            zorder=3,
            clip_on=False,
        )
        marks.add(mark, arm, f"{arm}, seed {seed}: {ticket.words}, distance {fixed(height, 3)}")


def _legend() -> tuple[list[Line2D], list[str]]:
    """What the lines and marks are, in no arm's colour."""
    entries: dict[str, dict[str, Any]] = {
        "to the farthest mask of the window, mean": {"lw": 2.0},
        "each seed": {"lw": 0.7, "color": "#909090"},
        "to the last mask, mean": {"lw": 0.9, "ls": _KINDS["distance"][1]},
        "ε": {"lw": 0.9, "ls": ":"},
        "ticket drawn": {"ls": "", "marker": "o", "ms": 5},
        "never under ε, taken at the end": {"ls": "", "marker": "o", "ms": 5, "mfc": "white"},
    }
    handles = [Line2D([], [], **{"color": style.MUTED, **options}) for options in entries.values()]
    return handles, list(entries)
