"""The control of Early-Bird: does it matter which channels the ticket has? (Su et al., 2020)."""

from collections.abc import Generator

from harness import ChannelMask, Inspect, shuffled_channels
from methods.early_bird import EarlyBird


class RandomTicket(EarlyBird):
    """Search like Early-Bird, then keep random channels at exactly the ticket's widths.

    Weights and momentum of the random channels are kept, as Early-Bird keeps those of its ticket:
    the two differ in nothing but which channels stay. With `reinit` they differ in nothing at all
    but chance, since channels with new weights are all alike.
    """

    def drawn(self) -> Generator[Inspect, ChannelMask, ChannelMask]:
        """Ask for the ticket, then for random channels at its widths."""
        ticket = yield from super().drawn()
        return (yield Inspect(shuffled_channels(ticket)))
