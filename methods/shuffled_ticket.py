"""The control of the lottery ticket: which weights has it? (Frankle et al., ICLR 2021)."""

from contextlib import suppress
from typing import Annotated

from pydantic import Field

from harness import Budget, Count, Method, Phases, Ratio, Rewind, Shuffle
from methods.lottery_ticket import LotteryTicket


class ShuffledTicket(Method):
    """Find a lottery ticket of weights, then shuffle its masks within each tensor and train that.

    Every tensor keeps its density. The shuffle comes before the last rewinding, so that the weights
    which come alive have their early values. All else is as in `lottery_ticket`; the control of a
    ticket of channels is `random_ticket`.
    """

    rounds: Count = 3
    """How often to prune and rewind."""
    fraction: Ratio = 0.2
    """Share of the remaining weights to drop in each round."""
    rewind_epoch: Annotated[int, Field(ge=0)] = 1
    """The early epoch to rewind to."""
    rewind_steps: Annotated[int, Field(ge=0)] | None = None
    """The early step to rewind to, in place of an epoch."""

    def phases(self, budget: Budget) -> Phases:
        ticket = LotteryTicket(**dict(self)).phases(budget)
        phase, left = next(ticket), self.rounds
        with suppress(StopIteration):
            while True:
                if isinstance(phase, Rewind):
                    left -= 1
                    if not left:
                        yield Shuffle()
                phase = ticket.send((yield phase))
