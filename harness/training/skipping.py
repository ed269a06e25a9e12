"""Leaving out blocks of a transformer, or tokens in them, while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RunError
from harness.method.phases import Train
from harness.method.train_options import DropLayers, DropTokens
from harness.settings.settings import Training


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of a transformer, in order: most modules of one class in a row, with attention."""
    rows = [
        list(each.children())
        for each in network.modules()
        if isinstance(each, nn.Sequential | nn.ModuleList)
    ]
    alike = [row for row in rows if len({type(block) for block in row}) == 1]
    return max(filter(_all_attend, alike), key=len, default=[])


def _all_attend(row: list[nn.Module]) -> bool:
    return all(
        any("attention" in type(each).__name__.lower() for each in block.modules()) for block in row
    )


def refusal(
    network: nn.Module, phases: list[Train], training: Training, processes: int
) -> str | None:
    """Why training steps cannot leave out what a method asks for; None if they can.

    Args:
        network: May be without values.
        phases: The trainings that the method asks for.
        training: The recipe.
        processes: How many train together.
    """
    asked = [phase.skip for phase in phases if phase.skip]
    if not asked:
        return None
    fewest = 3 if any(isinstance(each, DropTokens) for each in asked) else 1
    if len(blocks_of(network)) < fewest:
        return (
            "leaves out work of a transformer's blocks, and the network has no row of "
            f"{fewest if fewest > 1 else 'such'} blocks; choose another model, or another method"
        )
    if training.compile:
        return "leaves out blocks or tokens, which cannot be compiled; set training.compile = false"
    if processes > 1:
        return (
            "leaves out blocks or tokens, which works in one process only; set "
            "engine.gpus_per_run = 1"
        )
    return None


class Skipping:
    """The blocks of one epoch, with a coin for each in each step.

    Args:
        rule: What is left out.
        blocks: In order.
    """

    def __init__(self, rule: DropLayers | DropTokens, blocks: list[nn.Module]) -> None:
        self._rule = rule
        self._place = 0.0
        self._blocks = blocks
        self._left_out: list[bool] = [False] * len(blocks)

    def begin(self, place: float) -> None:
        """Begin a step at a place on the schedule, in epochs; draws from torch's generator."""
        self._place = place
        if isinstance(self._rule, DropLayers):
            count = len(self._blocks)
            coins = torch.rand(count, device="cpu").tolist()
            self._left_out = [
                coin < self._rule.probability(place, number, count)
                for number, coin in enumerate(coins, start=1)
            ]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within, the blocks leave out what they are to, in training mode."""
        for number, block in enumerate(self._blocks):
            block.forward = self._around(number, block, block.forward)
        try:
            yield
        finally:
            for block in self._blocks:
                del block.forward

    def _around(
        self, number: int, block: nn.Module, forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        is_middle = 0 < number < len(self._blocks) - 1

        def call(hidden: Tensor, *others: Any, **more: Any) -> Any:
            if not block.training:
                return forward(hidden, *others, **more)
            if isinstance(self._rule, DropLayers):
                return hidden if self._left_out[number] else forward(hidden, *others, **more)
            if not is_middle:
                return forward(hidden, *others, **more)
            if hidden.ndim != 3 or others or more:
                raise RunError(
                    f"{type(block).__name__} takes more than tokens of shape (samples, places, "
                    "width), of which none can be left out"
                )
            return self._some_tokens(hidden, forward)

        return call

    def _some_tokens(self, hidden: Tensor, forward: Callable[[Tensor], Any]) -> Tensor:
        samples, tokens, width = hidden.shape
        rule: Any = self._rule
        passing = rule.length(self._place, tokens)
        if passing == tokens:
            return _tensor(forward(hidden))
        order = torch.rand(samples, tokens, device=hidden.device).argsort(dim=1)
        which = order[:, :passing].sort(dim=1).values[..., None].expand(-1, -1, width)
        passed = _tensor(forward(hidden.gather(1, which)))
        return hidden.scatter(1, which, passed.to(hidden.dtype))


def _tensor(outputs: Any) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise RunError("tokens cannot be left out of a block that returns more than a tensor")
    return outputs
