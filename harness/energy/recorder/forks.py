"""What a fork must leave alone: a child has copies of its parent's pipes, but none of its threads.

A copy of the pipe to a recorder keeps the recorder waiting for as long as the child lives, and a
thread that held a lock while another one forked leaves it locked in the child.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Prepares for a fork of this process."""

    def before_fork(self) -> None:
        """End threads; called in the thread that forks."""
        ...

    def after_fork(self, *, in_child: bool) -> None:
        """Start threads again, or in the child close what is the parent's."""
        ...


_known: WeakSet[Forkable] = WeakSet()


def prepare_for_forks(each: Forkable) -> None:
    """Call the hooks of `each` around every fork, as long as it exists."""
    _known.add(each)


def _before() -> None:
    for each in list(_known):
        each.before_fork()


def _after(*, in_child: bool) -> None:
    for each in list(_known):
        each.after_fork(in_child=in_child)


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(in_child=False),
    after_in_child=lambda: _after(in_child=True),
)
