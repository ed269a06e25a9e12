"""The control of every saving: dense training that simply ends sooner."""

from typing import Any, Self

from pydantic import model_validator

from harness import Budget, Method, Phases, Ratio, Recall, Record, Train


class DenseShort(Method):
    """Train the dense network on a shorter schedule, annealed to its end.

    The length is a given share of the budget, or what another method's run with the same seed used:
    as many epochs as the dense run would have trained for the same joules, rounded to whole epochs,
    at least one. A method that used more than the dense run gives a longer schedule.
    """

    share: Ratio | None = None
    """Share of the budget to train. Give either this or `match`."""
    match: str | None = None
    """The method whose joules to match; it and `dense` must be in the study. Of a swept one name
    the arm: `match = "early_bird prune_ratio=0.5"`."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.share is None) == (self.match is None):
            raise ValueError("give either share or match")
        return self

    def relies_on(self) -> tuple[str, ...]:
        return () if self.match is None else ("dense", self.match)

    def phases(self, budget: Budget) -> Phases:
        share: Any = self.share
        if self.match is not None:
            dense, other = (yield Recall("dense")), (yield Recall(self.match))
            share = other.energy_j / dense.energy_j
            yield Record({"matched_j": other.energy_j, "matched_share": share})
        epochs = max(round(budget.epochs * share), 1)
        yield Train("train", epochs=epochs, horizon=epochs)
