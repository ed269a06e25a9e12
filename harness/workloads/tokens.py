"""Text as ids of tokens, on the device, read in windows: each sample predicts its next tokens.

A text is held out in spans, spread evenly over it; windows never reach from one span into the next,
so that nothing that is held out is trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.errors import RunError
from harness.pruning.batch import Batch
from harness.workloads.images import SPLIT_SEED, check_enough
from harness.workloads.resident import OnDevice
from harness.workloads.source import WHOLE, LoadingContext, Opened, Part

SPANS = 16
"""How many spans are held out of a text; fewer of a short one."""
MIN_WINDOWS = 4
"""A span that is held out is at least this many windows long."""

Span = tuple[int, int]
"""First token, and the first one after the last."""


@dataclass(frozen=True)
class Tokens:
    """Text for training and for the final test, as ids of tokens.

    Attributes:
        train: Shape (tokens,), whole numbers.
        test: Like `train`.
        vocabulary: How many different tokens there are; ids are below it.
        symbols: The byte that each token stands for, where tokens are bytes.
        bytes_per_token: How many bytes of text a token stands for on average: of the text, over
            its tokens. The score is bits per byte.
    """

    train: Tensor
    test: Tensor
    vocabulary: int
    bytes_per_token: float = 1.0
    symbols: tuple[int, ...] = ()
    task: ClassVar[str] = "language"

    @property
    def outputs(self) -> int:
        """How many outputs a network has at each place: one per token."""
        return self.vocabulary

    @classmethod
    def held_out(
        cls, ids: Tensor, vocabulary: int, test_share: float, symbols: tuple[int, ...] = ()
    ) -> Tokens:
        """Set spans of a text aside as the test set, for texts that come without one."""
        rest, held_out = spans(len(ids), test_share, SPANS)
        train, test = (
            torch.cat([ids[start:end] for start, end in part]) for part in (rest, held_out)
        )
        return cls(train, test, vocabulary, symbols=symbols)

    def problem(self) -> str:
        """What is wrong with the tokens; empty if nothing is."""
        if type(self.vocabulary) is not int or self.vocabulary < 2:
            return f"vocabulary must be a whole number from 2, not {self.vocabulary!r}"
        if not self.bytes_per_token > 0:
            return f"bytes_per_token must be above 0, not {self.bytes_per_token}"
        for name, ids in (("train", self.train), ("test", self.test)):
            problem = _problem(ids, self.vocabulary)
            if problem:
                return f"{name}: {problem}"
        return ""


def _problem(ids: Any, vocabulary: int) -> str:
    if not isinstance(ids, Tensor):
        return f"must be a tensor, not {type(ids).__name__}"
    if ids.ndim != 1 or not len(ids) or ids.is_floating_point() or ids.dtype == torch.bool:
        return (
            "must be whole numbers of the shape (tokens,), and some, not "
            f"{str(ids.dtype).removeprefix('torch.')} of {tuple(ids.shape)}"
        )
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocabulary:
        return f"ids are {low} to {high}; a vocabulary of {vocabulary} has 0 to {vocabulary - 1}"
    return ""


def spans(length: int, share: float, number: int) -> tuple[list[Span], list[Span]]:
    """Cut a text into equal blocks, and hold out the end of each.

    Args:
        length: Tokens of the text.
        share: To hold out, between 0 and 1.
        number: Of blocks.

    Returns:
        The spans that stay, and those that are held out; each in order.
    """
    edges = [length * block // number for block in range(number + 1)]
    rest, held_out = [], []
    for start, end in pairwise(edges):
        cut = end - round((end - start) * share)
        rest.append((start, cut))
        held_out.append((cut, end))
    return rest, held_out


def first_tokens(parts: Sequence[Span], context: int, shift: int = 0) -> Tensor:
    """Where windows of `context` tokens begin that tile each span and leave room for `shift`.

    A window needs one token more, the last one's target, which the next window begins with. What is
    left at a span's end and fills no window is left out.
    """
    return torch.cat(
        [
            start + context * torch.arange(max(0, (end - start - 1 - shift) // context))
            for start, end in parts
        ]
    )


@dataclass(frozen=True)
class Windows(OnDevice):
    """Windows of a text, each a sample.

    Attributes:
        ids: The text, on the device.
        starts: First token of each window, shape (windows,).
        context: Tokens of a window.
        shift: By how many tokens, at most, an epoch's windows begin later; how many is drawn again
            for each epoch, so that windows are not always cut at the same places.
        part: This process's share.
    """

    ids: Tensor
    starts: Tensor
    context: int
    shift: int = 0
    part: Part = WHOLE

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def _device(self) -> torch.device:
        return self.ids.device

    def _plain(self, which: Tensor | slice) -> Batch:
        return self._at(self.starts[which])

    def _drawn(self, order: Iterable[Tensor], generator: torch.Generator) -> Iterator[Batch]:
        later = torch.randint(self.shift + 1, (1,), generator=generator, device=self._device)
        for index in order:
            own = index[self.part.among(len(index))]
            yield self._at(self.starts[own] + later)

    def _at(self, starts: Tensor) -> Batch:
        places = torch.arange(self.context + 1, device=self._device)
        window = self.ids[starts[:, None] + places].long()
        return Batch(window[:, :-1].contiguous(), window[:, 1:].contiguous())


def token_sources(tokens: Tokens, context: LoadingContext) -> Opened:
    """Hold spans of the training text out for validation, and cut all into windows.

    Raises:
        RunError: A text is too short, or a setting is for images.
    """
    choice = context.choice
    context.refuse_image_settings("text")
    if choice.input == "loader":
        raise RunError("workload.input = 'loader' is for images and samples; text is resident")
    size, length = choice.context, len(tokens.train)
    longest = int(length * choice.validation_share / (MIN_WINDOWS * size + 1))
    rest, held_out = spans(length, choice.validation_share, max(1, min(SPANS, longest)))
    train, test = (part.to(context.device) for part in (tokens.train, tokens.test))
    some = _some_of(first_tokens(rest, size, size - 1), choice.train_samples)

    def source(part: str, ids: Tensor, starts: Tensor, shift: int = 0) -> Windows:
        if not len(starts):
            raise RunError(
                f"the {part} text has no window of workload.context = {size} tokens and one more; "
                "choose a smaller context, or a longer text"
            )
        return Windows(ids, starts.to(context.device), size, shift, context.part)

    opened = source("training", train, some, size - 1)
    return Opened(
        train=opened,
        validation=source("validation", train, first_tokens(held_out, size)),
        test=source("test", test, first_tokens([(0, len(test))], size)),
        example=opened.sample(1, seed=0).inputs,
    )


def _some_of(starts: Tensor, wanted: int | None) -> Tensor:
    check_enough(len(starts), wanted)
    if wanted is None:
        return starts
    drawn = torch.randperm(len(starts), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return starts[drawn[:wanted].sort().values]
