"""Phases: the operations a method can request.

A method is a generator: it yields phases and receives their answers. Each phase is carried out by
the harness as one energy window. Every answer crosses the journal as JSON before the method sees
it, so a method that is resumed receives exactly what it received the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import partial
from typing import Any, ClassVar

from harness.errors import UsageError
from harness.method.train_options import (
    DropLayers,
    DropTokens,
    LayerRate,
    Rewire,
    Select,
    SnapshotAt,
)
from harness.pruning.channel_mask import ChannelMask
from harness.pruning.size import Size
from harness.settings.types import Precision


@dataclass(frozen=True)
class Budget:
    """What every method of a study may spend: the length of one full training, in epochs."""

    epochs: int


@dataclass(frozen=True)
class Trained:
    """The answer to `Train`.

    Attributes:
        validated: The task's score on the validation split at the phase's end; None unless the
            phase asked for it by `evaluate`.
    """

    validated: float | None = None

    @property
    def val_score(self) -> float:
        """The task's score on the validation split at the phase's end; of classes, 0 to 1.

        Raises:
            UsageError: The phase did not ask for it.
        """
        if self.validated is None:
            raise UsageError("val_score is there only after Train(..., evaluate=True)")
        return self.validated

    @property
    def val_accuracy(self) -> float:
        """`val_score`, by the name that it had while all scores were accuracies."""
        return self.val_score


@dataclass(frozen=True)
class Finished:
    """The answer to `Recall`: what another method's run with the same seed cost, and drew.

    Attributes:
        energy_j: Energy of the whole run, every attempt included.
        epochs_trained: How many epochs it trained in all.
        ticket: Which channels of the dense network it kept; None if it removed none.
    """

    energy_j: float
    epochs_trained: int
    ticket: ChannelMask | None


@dataclass(frozen=True)
class Phase:
    """One step of a method, and one energy window, named by `window`."""

    keeps_state: ClassVar[bool] = False
    """Whether the network is the same afterwards, so that there is nothing new to save."""
    is_saved: ClassVar[bool] = False
    """Whether a checkpoint follows at once, so that resuming does not repeat it."""

    @property
    def window(self) -> str:
        """The label under which this phase's energy is reported."""
        return type(self).__name__.lower()

    def describe(self) -> dict[str, Any]:
        """The phase as JSON, for the journal; equal phases give equal descriptions."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"kind": type(self).__name__, **values}

    def is_described_by(self, description: Mapping[str, Any]) -> bool:
        """Whether a journal describes this phase; what an older version did not know is unset."""
        unset = {f.name: _plain(f.default) for f in fields(self) if f.default is not MISSING}
        return {**unset, **description} == {**unset, **self.describe()}

    def encode(self, answer: Any) -> Any:
        """The answer as JSON."""
        return answer

    def decode(self, encoded: Any) -> Any:
        """The answer back from JSON."""
        return encoded

    def dummy_answer(self) -> Any:
        """A plausible answer, for planning a method without a network."""
        return None


@dataclass(frozen=True)
class Train(Phase):
    """Train the network; answered by `Trained`.

    Attributes:
        name: The energy window, such as "search" or "retrain".
        epochs: How many epochs (0 trains nothing).
        start_epoch: Where on the learning-rate schedule to begin; None continues where training
            stands. Setting it back is learning-rate rewinding (Renda et al., 2020).
        horizon: Over how many epochs the schedule is stretched; None for the budget's.
        rate: A constant learning rate, as a share of the recipe's, in place of the schedule.
        l1_gamma: Weight s of the L1 penalty on BatchNorm scales, added as the subgradient
            s * sign(gamma) (Liu et al., 2017).
        group_lasso: Weight of the group-lasso penalty on channels (Lym et al., 2019): the sum of
            the Euclidean norms of each input and output channel of convolutions and each input of
            linear layers.
        precision: Arithmetic of this phase; None for the recipe's.
        rewire: Moves the weight masks while training; None leaves them as they are.
        evaluate: Validate at the phase's end whatever the recipe's `evaluate_epochs`, so that the
            method may read `Trained.val_score`. The method pays for it.
        snapshot: A snapshot to take on the way; training continues as if there were none.
        select: Chooses the samples to train on, and weighs them; None trains on all of them alike.
        rates: Learning rates of some layers' own; what none of them names has the recipe's.
        skip: What of a transformer training steps leave out; None leaves out nothing.

    Where training stands within an epoch, after a `Rewind` to a step, the first epoch is what is
    left of that one, and counts as one.
    """

    name: str
    epochs: int
    start_epoch: int | None = None
    horizon: int | None = None
    rate: float | None = None
    l1_gamma: float = 0.0
    group_lasso: float = 0.0
    precision: Precision | None = None
    rewire: Rewire | None = None
    evaluate: bool = False
    snapshot: SnapshotAt | None = None
    select: Select | None = None
    rates: tuple[LayerRate, ...] = ()
    skip: DropLayers | DropTokens | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"Train({self.name!r}): epochs is {self.epochs}, below 0")
        if self.select and (self.rewire or self.snapshot):
            raise ValueError(f"Train({self.name!r}): select goes with neither rewire nor snapshot")

    @property
    def window(self) -> str:
        return self.name

    def encode(self, answer: Trained) -> Any:
        return {"val_accuracy": answer.validated}

    def decode(self, encoded: Any) -> Trained:
        return Trained(encoded["val_accuracy"])

    def dummy_answer(self) -> Trained:
        return Trained(0.5 if self.evaluate else None)


@dataclass(frozen=True)
class _Answering(Phase):
    """What a function of a method's own answers: a channel mask, or plain JSON."""

    def encode(self, answer: Any) -> Any:
        if isinstance(answer, ChannelMask):
            return {"channel_mask": dict(answer.layers)}
        return {"value": answer}

    def decode(self, encoded: Any) -> Any:
        if "channel_mask" in encoded:
            return ChannelMask(encoded["channel_mask"])
        return encoded["value"]


@dataclass(frozen=True)
class Inspect(_Answering):
    """Ask a question of the network without changing it.

    Attributes:
        question: A pure function of the network (a `torch.nn.Module`) and a `Batch` of training
            samples that answers with a `ChannelMask` or with plain JSON. If it draws random
            numbers from torch, they follow from the run's seed.
        samples: How many samples it sees, drawn at random; 1 suffices to trace the network.
    """

    keeps_state: ClassVar[bool] = True
    question: Callable[[Any, Any], Any]
    samples: int = 1

    def dummy_answer(self) -> Any:
        return getattr(self.question, "dummy_answer", lambda: None)()


@dataclass(frozen=True)
class Do(_Answering):
    """Change the network's weights by a function of the method's own; answered by what it returns.

    It is one energy window. A checkpoint follows, so that resuming does not repeat it. What the
    optimizer keeps stays, weights that a mask holds are zero again afterwards, and the average of
    `ema` begins at the new weights.

    Attributes:
        name: The energy window, such as "merge".
        function: `function(network, batch)` changes parameters and buffers in place, and answers
            with a `ChannelMask` or with plain JSON. Layers, shapes and which parameters train must
            stay. If it draws random numbers from torch, they follow from the run's seed. The
            journal has its name, or what its `describe()` returns; with the module that it is in,
            its code belongs to the run's fingerprint if the method's module imports it.
        samples: How many training samples it sees, drawn at random; None for a batch of the
            recipe's size.
        answer: A plausible answer, for planning.
    """

    is_saved: ClassVar[bool] = True
    name: str
    function: Callable[[Any, Any], Any]
    samples: int | None = None
    answer: Any = None

    @property
    def window(self) -> str:
        return self.name

    def dummy_answer(self) -> Any:
        return self.answer


@dataclass(frozen=True)
class Freeze(Phase):
    """Keep parameters as they are from now on: they get no gradient and no decay.

    Each one replaces the one before it: `Freeze(())` lets all parameters train again. It outlasts
    `Shrink`, `Rewind` and `Reinitialise` (which draws frozen weights, too). The optimizer drops
    what it kept of them. Answered by the number of parameters that train.

    Attributes:
        names: Names of parameters, or of modules with all that is in them; "all but last" for
            everything but the last layer.
        statistics: Whether BatchNorm whose scale is frozen keeps its running statistics, too, and
            normalises by them in training; else they still move.
    """

    names: str | tuple[str, ...]
    statistics: bool = False

    def dummy_answer(self) -> int:
        return 1


@dataclass(frozen=True)
class _Resizing(Phase):
    def encode(self, answer: Size) -> Any:
        return {f.name: getattr(answer, f.name) for f in fields(answer)}

    def decode(self, encoded: Any) -> Size:
        return Size(**encoded | {"uncounted": tuple(encoded.get("uncounted", ()))})

    def dummy_answer(self) -> Size:
        return Size(parameters=1, macs=1, density=1.0)


@dataclass(frozen=True)
class Resize(_Resizing):
    """Train on images of another size from now on; answered by the `Size` with the MACs of one.

    Batches are scaled on the device once they are augmented. Evaluation, what methods inspect, and
    the MACs of a run's result are at the full size.

    Attributes:
        image_size: The shorter side, in pixels; None for what `scale` makes of the full one.
        scale: The shorter side as a share of the full size.
        multiple: The scaled side is rounded to a multiple of this, in pixels; at least one of it.
    """

    image_size: int | None = None
    scale: float = 1.0
    multiple: int = 1

    def side(self, full: int) -> int | None:
        """The shorter side to train on, in pixels; None for the full size, and for all above it.

        Args:
            full: The shorter side of the images as they are.
        """
        if self.image_size is not None:
            return self.image_size
        side = max(round(full * self.scale / self.multiple), 1) * self.multiple
        return side if side < full else None


@dataclass(frozen=True)
class Shrink(_Resizing):
    """Remove the channels that a mask drops, in memory; weights and momentum of the rest stay."""

    mask: ChannelMask


@dataclass(frozen=True)
class Mask(_Resizing):
    """Hold the lowest-scored weights at zero from now on, chosen globally. Nothing gets smaller.

    Attributes:
        score: A function `score(network, batch) -> {parameter name: tensor}`; higher stays. Its
            network is a copy, with masked weights at zero, that it may change as it likes. If it
            draws random numbers from torch, they follow from the run's seed.
        fraction: Share of the weights still alive to drop, strictly between 0 and 1.
        iterations: Number of steps of equal ratio to reach that share, each with new scores.
        samples: How many training samples the score sees, drawn at random for each step; None for
            a batch of the recipe's size.
    """

    score: Callable[[Any, Any], Any]
    fraction: float
    iterations: int = 1
    samples: int | None = None

    @property
    def window(self) -> str:
        return "prune"


@dataclass(frozen=True)
class Shuffle(_Resizing):
    """Move the weight masks to random places within each tensor; every tensor keeps its density.

    A control (Frankle et al., ICLR 2021): what is left of a ticket if only its densities matter?
    Weights that come alive are zero until a `Rewind` or `Reinitialise`.
    """

    @property
    def window(self) -> str:
        return "prune"


@dataclass(frozen=True)
class Snapshot(Phase):
    """Keep the weights, momentum and place on the schedule under a name, for `Rewind`."""

    keeps_state: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class Moved(Phase):
    """Ask how far the network is from a snapshot of the same structure; answered by a share.

    It is the Euclidean distance of all parameters from those of the snapshot, over their norm
    there.
    """

    keeps_state: ClassVar[bool] = True
    name: str

    def dummy_answer(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Rewind(Phase):
    """Return to a snapshot, in today's structure: masks stay, removed channels stay removed.

    Answered by the place on the schedule, in epochs; a fraction where it was taken within one.
    """

    name: str

    def dummy_answer(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Reinitialise(Phase):
    """Re-initialise the weights of the current structure, and restart the schedule.

    They are drawn by `workload.init`, also where the first ones came from a file. "builder" builds
    the dense network again, with other random numbers, and removes what has been removed.
    """


@dataclass(frozen=True)
class Recall(Phase):
    """Ask what the finished run of another method with the same seed left; see `Finished`.

    Attributes:
        method: The other method, with the settings that set it apart where it is swept, such as
            "early_bird prune_ratio=0.5"; name it in `Method.relies_on`, so that it runs first.
    """

    keeps_state: ClassVar[bool] = True
    method: str

    @property
    def window(self) -> str:
        return "overhead"

    def encode(self, answer: Finished) -> Any:
        return {**vars(answer), "ticket": answer.ticket and dict(answer.ticket.layers)}

    def decode(self, encoded: Any) -> Finished:
        ticket = encoded["ticket"]
        return Finished(**{**encoded, "ticket": None if ticket is None else ChannelMask(ticket)})

    def dummy_answer(self) -> Finished:
        return Finished(energy_j=1.0, epochs_trained=1, ticket=ChannelMask({}))


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
    if is_dataclass(value) and not callable(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return _named(value) if callable(value) else value


def _named(function: Any) -> Any:
    """What a function is called, with the arguments that were given to it already."""
    if hasattr(function, "describe"):
        return function.describe()
    if isinstance(function, partial):
        given = [_plain(each) for each in function.args]
        named = {key: _plain(each) for key, each in function.keywords.items()}
        return {"function": _named(function.func), "args": given, "keywords": named}
    if is_dataclass(function) and not isinstance(function, type):
        return {type(function).__qualname__: asdict(function)}
    return getattr(function, "__qualname__", type(function).__qualname__)
