"""A group of commands of which one need not be named."""

from __future__ import annotations

from typing import Any

import click


class GroupWithDefault(click.Group):
    """A group that passes its arguments to one command if the first is not a command.

    Args:
        default: That command.
        own: Options of the group itself.
    """

    def __init__(self, *words: Any, default: str, own: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(*words, **more)
        self._default = default
        self._own = {"--help", "-h", *own}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, with the default command in front where none is named."""
        if not args or (args[0] not in self.commands and args[0] not in self._own):
            args = [self._default, *args]
        return super().parse_args(ctx, args)
