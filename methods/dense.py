"""Dense training: the baseline of every comparison."""

from harness import Budget, Method, Phases, Train


class Dense(Method):
    """Train the dense network for the whole budget."""

    def phases(self, budget: Budget) -> Phases:
        yield Train("train", epochs=budget.epochs)
