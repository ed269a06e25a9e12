"""The words a method may say.

A method is a generator: it yields phases and receives their answers. Each phase is carried out by
the harness as one energy window. Every answer crosses the journal as JSON before the method sees
it, so a method that is resumed receives exactly what it received the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from harness.channel_mask import ChannelMask


@dataclass(frozen=True)
class Budget:
    """What every method of a study may spend: the length of one full training, in epochs."""

    epochs: int


@dataclass(frozen=True)
class Trained:
    """The answer to `Train`: the last validation accuracy (0 to 1; None if nothing was trained)."""

    val_accuracy: float | None


@dataclass(frozen=True)
class Size:
    """The answer to `Shrink` and `Mask`: what is left of the network.

    Attributes:
        parameters: Parameters in memory.
        macs: Multiply-accumulate operations of one forward pass of one sample.
        density: Share of the weights in memory that a mask leaves alive (1.0 without a mask).
    """

    parameters: int
    macs: int
    density: float


@dataclass(frozen=True)
class Phase:
    """One step of a method, and one energy window, named by `window`."""

    keeps_state: ClassVar[bool] = False
    """Whether the network is the same afterwards, so that no new checkpoint is needed."""

    @property
    def window(self) -> str:
        """The label under which this phase's energy is reported."""
        return type(self).__name__.lower()

    def describe(self) -> dict[str, Any]:
        """The phase as JSON, for the journal; equal phases give equal descriptions."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"kind": type(self).__name__, **values}

    def encode(self, answer: Any) -> Any:
        """The answer as JSON."""
        return answer

    def decode(self, encoded: Any) -> Any:
        """The answer back from JSON."""
        return encoded

    def invented(self) -> Any:
        """A plausible answer, for planning a method without a network."""
        return None


@dataclass(frozen=True)
class Train(Phase):
    """Train the network; answered by `Trained`.

    Attributes:
        name: The energy window, such as "search" or "retrain".
        epochs: How many epochs (0 trains nothing).
        start_epoch: Where on the learning-rate schedule to begin; None goes on where training
            stands. Setting it back is learning-rate rewinding (Renda et al., 2020).
        horizon: Over how many epochs the schedule is stretched; None for the budget's.
        rate: A constant learning rate, as a share of the recipe's, in place of the schedule.
        l1_gamma: Weight s of the L1 penalty on BatchNorm scales, added as the subgradient
            s * sign(gamma) (Liu et al., 2017).
    """

    name: str
    epochs: int
    start_epoch: int | None = None
    horizon: int | None = None
    rate: float | None = None
    l1_gamma: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"Train({self.name!r}): epochs is {self.epochs}, below 0")

    @property
    def window(self) -> str:
        return self.name

    def encode(self, answer: Trained) -> Any:
        return {"val_accuracy": answer.val_accuracy}

    def decode(self, encoded: Any) -> Trained:
        return Trained(**encoded)

    def invented(self) -> Trained:
        return Trained(val_accuracy=0.5)


@dataclass(frozen=True)
class Inspect(Phase):
    """Ask a question of the network without changing it.

    Attributes:
        question: A pure function of the network (a `torch.nn.Module`) and one example batch that
            answers with a `ChannelMask` or with plain JSON.
    """

    keeps_state: ClassVar[bool] = True
    question: Callable[[Any, Any], Any]

    def encode(self, answer: Any) -> Any:
        if isinstance(answer, ChannelMask):
            return {"channel_mask": dict(answer.layers)}
        return {"value": answer}

    def decode(self, encoded: Any) -> Any:
        if "channel_mask" in encoded:
            return ChannelMask(encoded["channel_mask"])
        return encoded["value"]

    def invented(self) -> Any:
        return getattr(self.question, "invented", lambda: None)()


@dataclass(frozen=True)
class _Resizing(Phase):
    def encode(self, answer: Size) -> Any:
        return {f.name: getattr(answer, f.name) for f in fields(answer)}

    def decode(self, encoded: Any) -> Size:
        return Size(**encoded)

    def invented(self) -> Size:
        return Size(parameters=1, macs=1, density=1.0)


@dataclass(frozen=True)
class Shrink(_Resizing):
    """Remove the channels that a mask drops, in memory; weights and momentum of the rest stay."""

    mask: ChannelMask


@dataclass(frozen=True)
class Mask(_Resizing):
    """Hold the lowest-scored weights at zero from now on, chosen globally. Nothing gets smaller.

    Attributes:
        score: A pure function `score(network, batch) -> {parameter name: tensor}`; higher stays.
        fraction: Share of the weights still alive to drop, strictly between 0 and 1.
    """

    score: Callable[[Any, Any], Any]
    fraction: float

    @property
    def window(self) -> str:
        return "prune"


@dataclass(frozen=True)
class Snapshot(Phase):
    """Keep the weights, momentum and place on the schedule under a name, for `Rewind`."""

    name: str


@dataclass(frozen=True)
class Rewind(Phase):
    """Return to a snapshot, in today's structure: masks stay, removed channels stay removed."""

    name: str


@dataclass(frozen=True)
class Reinitialise(Phase):
    """Draw the weights of today's structure anew, and go back to the start of the schedule."""


@dataclass(frozen=True)
class Record(Phase):
    """Write facts into the run's record (a column each in the table of runs)."""

    keeps_state: ClassVar[bool] = True
    facts: dict[str, bool | int | float | str | None]

    @property
    def window(self) -> str:
        return "overhead"


def _plain(value: Any) -> Any:
    if isinstance(value, ChannelMask):
        return dict(value.layers)
    if callable(value):
        return value.describe() if hasattr(value, "describe") else value.__qualname__
    return value
