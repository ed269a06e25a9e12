"""A run's journal without a network: a method's phases, played with invented answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from harness.method.base import Method
from harness.method.phases import Budget, Inspect, Mask, Phase, Record, Shrink, Size, Train, Trained
from harness.pruning.channel_mask import ChannelMask
from harness.results.journal import OVERHEAD, TEST

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
"""Channels of VGG-16's layers."""
DENSE = Size(parameters=14_724_042, macs=313_463_808, density=1.0)
"""VGG-16 on 32 x 32 images."""
SETTLED_EPOCHS = 20.0
"""By then a channel mask moves little, and accuracy is near its best."""
LENGTHS = {"evaluation": 0.06, "checkpoint": 0.02, TEST: 0.12, OVERHEAD: 1e-5, "inspect": 0.005}
"""Length of a window, as a share of an epoch; other phases that do not train are as short as
overhead."""

Event = tuple[float, dict[str, Any]]
"""When, in epochs since the start, and what; without its `time_ns`."""


def played(method: Method, epochs: int, seed: int) -> list[Event]:
    """The events of a whole run between its `attempt` and its `end`, in the harness's order."""
    return list(_Player(np.random.default_rng(seed)).run(method, epochs))


class _Player:
    """Knows how far a run has come."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._now = 0.5  # loading data, building the network
        self._window = ""
        self._size = DENSE
        self._epochs = 0
        self._saved = 0
        self._importance = rng.normal(size=sum(WIDTHS))

    def run(self, method: Method, epochs: int) -> Iterator[Event]:
        yield self._event("dense", parameters=DENSE.parameters, macs=DENSE.macs)
        generator = method.phases(Budget(epochs))
        answer: Any = None
        index = 0
        while (phase := self._next(generator, answer)) is not None:
            yield from self._border(OVERHEAD)
            yield self._event("phase", phase=index, window=phase.window, kind=type(phase).__name__)
            yield from self._carried_out(phase, index)
            answer = self._answer(phase)
            yield self._event(
                "answer", phase=index, description=phase.describe(), answer=phase.encode(answer)
            )
            index += 1
            if isinstance(phase, Train) and phase.epochs:
                yield from self._save(index, 0)
        yield from self._border(TEST)
        yield from self._border(OVERHEAD)
        yield self._event(
            "result",
            test_score=self._accuracy(),
            test_samples=10_000,
            val_score=self._accuracy(),
            epochs_trained=self._epochs,
            **asdict(self._size),
        )

    @staticmethod
    def _next(generator: Iterator[Phase], answer: Any) -> Phase | None:
        try:
            return generator.send(answer)
        except StopIteration:
            return None

    def _event(self, name: str, **values: Any) -> Event:
        self._now += LENGTHS[OVERHEAD]
        return self._now, {"event": name, **values}

    def _border(self, window: str) -> Iterator[Event]:
        if window != self._window:
            self._window = window
            yield self._event("border", window=window)
        self._now += LENGTHS.get(window, LENGTHS[OVERHEAD])

    def _save(self, phase: int, epoch: int) -> Iterator[Event]:
        yield from self._border("checkpoint")
        self._saved += 1
        yield self._event("checkpoint", number=self._saved, phase=phase, epoch=epoch)

    def _carried_out(self, phase: Phase, index: int) -> Iterator[Event]:
        if not isinstance(phase, Train):
            yield from self._border(phase.window)
            if isinstance(phase, Record):
                yield self._event("record", facts=phase.facts)
            elif isinstance(phase, Shrink | Mask):
                self._resize(phase)
                yield self._event("size", **asdict(self._size))
            return
        for epoch in range(1, phase.epochs + 1):
            yield from self._border(phase.window)
            self._now += 0.5 + self._size.macs / DENSE.macs / 2
            self._epochs += 1
            yield from self._border("evaluation")
            yield self._event(
                "epoch",
                window=phase.window,
                epoch=epoch,
                of=phase.epochs,
                epochs_trained=self._epochs,
                loss=math.exp(-self._epochs / SETTLED_EPOCHS),
                val_score=self._accuracy(),
            )
            if epoch < phase.epochs:
                yield from self._save(index, epoch)

    def _accuracy(self) -> float:
        best = 0.935 - 0.9 * math.exp(-self._epochs / SETTLED_EPOCHS)
        return float(np.clip(best + self._rng.normal(0, 0.002), 0, 1))

    def _resize(self, phase: Shrink | Mask) -> None:
        if isinstance(phase, Mask):
            density = self._size.density * (1 - phase.fraction)
            self._size = Size(self._size.parameters, self._size.macs, density)
        else:
            left = (phase.mask.kept / phase.mask.channels) ** 2
            macs, parameters = round(DENSE.macs * left), round(DENSE.parameters * left)
            self._size = Size(parameters, macs, 1.0)

    def _answer(self, phase: Phase) -> Any:
        if isinstance(phase, Train):
            return Trained(self._accuracy() if phase.evaluate else None)
        if isinstance(phase, Shrink | Mask):
            return self._size
        if isinstance(phase, Inspect):
            return self._mask(phase.question.prune_ratio)
        return phase.dummy_answer()

    def _mask(self, prune_ratio: float) -> ChannelMask:
        """The channels that matter most by now, in a ranking that settles."""
        unrest = math.exp(-self._epochs / SETTLED_EPOCHS)
        scores = self._importance + unrest * self._rng.normal(size=len(self._importance))
        keep = scores > np.quantile(scores, prune_ratio)
        layers = np.split(keep, np.cumsum(WIDTHS)[:-1])
        bits = ["".join("01"[int(bit)] for bit in layer) for layer in layers]
        return ChannelMask({str(number): text for number, text in enumerate(bits)})
