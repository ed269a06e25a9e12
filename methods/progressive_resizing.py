"""Progressive resizing (Howard & Gugger's fastai; here by MosaicML Composer's schedule)."""

from itertools import groupby
from typing import Self

from pydantic import model_validator

from harness import Budget, Count, Method, Phases, Ratio, Resize, Share, Train


class ProgressiveResizing(Method):
    """Train on small images first, and let them grow to their full size before the end.

    Images are `initial_scale` of their size until `delay` of the budget, then grow in a straight
    line, and are whole for the last `finetune` of it. Evaluation is at the full size throughout.
    The length of training is dense's, so that what is saved is saved by smaller images alone.

    Deviations from Composer: the size changes between epochs, to what Composer's schedule has at
    the epoch's beginning, where Composer changes it between batches; images are scaled bilinearly
    with anti-aliasing, where Composer takes the nearest pixel.
    """

    initial_scale: Ratio = 0.5
    """The side of the first images, as a share of the full one."""
    delay: Share = 0.5
    """Share of the budget before images begin to grow."""
    finetune: Share = 0.2
    """Share of the budget, at its end, on whole images."""
    multiple: Count = 4
    """Sides are rounded to a multiple of this, in pixels."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.delay + self.finetune >= 1:
            raise ValueError("delay and finetune must leave some of the budget between them")
        return self

    def phases(self, budget: Budget) -> Phases:
        scales = [self.scale(epoch / budget.epochs) for epoch in range(budget.epochs)]
        for scale, epochs in groupby(scales):
            yield Resize(scale=scale, multiple=self.multiple)
            yield Train("train", epochs=len(list(epochs)))

    def scale(self, elapsed: float) -> float:
        """The side of images as a share of the full one, after a share of the budget."""
        grown = (elapsed - self.delay) / (1 - self.finetune - self.delay)
        return self.initial_scale + (1 - self.initial_scale) * min(max(grown, 0.0), 1.0)
