"""From a raw input, a picture or a text, to what a network takes; from its outputs to words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

MAX_SIDE = 4096
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Prediction(NamedTuple):
    """The likeliest output.

    Attributes:
        label: The class's name, or its number where it has none; of a text the next character.
        probability: By the softmax of the network's outputs, 0 to 1.
    """

    label: str
    probability: float


class Encoding(BaseModel):
    """How raw inputs become what a network takes: what evaluation does to a sample.

    Attributes:
        kind: "image": files of pictures; "text": bytes; "tensor": only what the data set gives.
        shape: Of one input: channels, height and width of an image; places of a text.
        mean: Of an image's pixels, from 0 to 1, a channel each.
        spread: Standard deviation of its pixels, a channel each.
        shorter_side: To what the shorter side of a picture is scaled before the centre of `shape`
            is cut out.
        classes: Their names, in the order of the outputs; empty if they have none.
        vocabulary: Of a text: the byte that each token stands for.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["image", "text", "tensor"]
    shape: Annotated[tuple[Side, ...], Field(max_length=8)]
    mean: tuple[float, ...] = ()
    spread: tuple[Annotated[float, Field(gt=0)], ...] = ()
    shorter_side: Side | None = None
    classes: tuple[str, ...] = ()
    vocabulary: tuple[Byte, ...] = ()

    def encode(self, raw: Any) -> Tensor:
        """One raw input as a batch of one.

        Args:
            raw: A picture's path or a PIL image; a text or bytes; else a tensor of `shape`.

        Raises:
            UsageError: It is none of these, or the network cannot take it.
        """
        import torch

        if isinstance(raw, torch.Tensor):
            if raw.shape != self.shape:
                raise UsageError(
                    f"the network takes inputs of shape {self.shape}, not {tuple(raw.shape)}"
                )
            return raw.unsqueeze(0)
        if self.kind == "image":
            return self._picture(raw)
        if self.kind == "text":
            return self._text(raw)
        raise UsageError(f"the network takes a tensor of shape {self.shape}, as its data set gives")

    def _picture(self, raw: Any) -> Tensor:
        import torch
        from PIL import Image, UnidentifiedImageError
        from torchvision.transforms import functional

        channels, height, width = self.shape
        try:
            opened = raw if isinstance(raw, Image.Image) else Image.open(os.fspath(raw))
            picture = opened.convert("L" if channels == 1 else "RGB")
        except TypeError:
            raise UsageError(
                f"the network takes a picture, as a path or a PIL image, not {type(raw).__name__}"
            ) from None
        except (OSError, UnidentifiedImageError) as error:
            raise UsageError(f"{raw}: no picture that can be read: {error}") from None
        scaled = functional.resize(picture, [self.shorter_side or min(height, width)])
        pixels = functional.to_tensor(functional.center_crop(scaled, [height, width]))
        mean, spread = (torch.tensor(each).view(-1, 1, 1) for each in (self.mean, self.spread))
        normalised: Tensor = (pixels.expand(channels, -1, -1) - mean) / spread
        return normalised.unsqueeze(0)

    def _text(self, raw: Any) -> Tensor:
        import torch

        data = raw.encode() if isinstance(raw, str) else raw
        if not isinstance(data, bytes) or not data:
            raise UsageError("the network takes a text, or bytes, and some")
        token_of = {byte: token for token, byte in enumerate(self.vocabulary)}
        last = data[-self.shape[0] :]
        unknown = sorted({byte for byte in last if byte not in token_of})
        if unknown:
            raise UsageError(
                f"the network has seen no text with {bytes(unknown[:4])!r} in it, so it knows no "
                "token for that"
            )
        return torch.tensor([[token_of[byte] for byte in last]])

    def decode(self, outputs: Tensor) -> Prediction:
        """What the outputs for one input say.

        Args:
            outputs: Shape (1, classes), or (1, places, tokens) of a text.

        Raises:
            UsageError: They are no scores of classes or tokens.
        """
        if self.kind == "text":
            outputs = outputs[:, -1]
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise UsageError(
                f"the network answers with shape {tuple(outputs.shape)}, which are no scores of "
                "classes; call the network itself"
            )
        probability, best = outputs.float().softmax(dim=1)[0].max(dim=0)
        number = int(best)
        if self.kind == "text":
            label = bytes([self.vocabulary[number]]).decode("utf-8", "backslashreplace")
        else:
            label = self.classes[number] if number < len(self.classes) else str(number)
        return Prediction(label, float(probability))
