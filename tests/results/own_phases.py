"""A method that asks for steps of its own; a plugin of test_resume_arms."""

from __future__ import annotations

import torch

from harness import Do, Freeze, Method, Resize, Rewind, Snapshot, Train


class OwnPhases(Method):
    """Freezes, thaws, resizes, and jitters the weights."""

    def phases(self, budget):
        yield Snapshot("start")
        yield Resize(6)
        yield Train("small", epochs=1)
        yield Freeze(("0", "1"))
        scale = yield Do("jitter", jitter, samples=1)
        yield Train("frozen", epochs=1)
        yield Rewind("start")
        yield Resize(None)
        yield Do("jitter", jitter)
        yield Freeze("all but last" if scale > 0 else ())
        yield Train("head", epochs=1)
        yield Freeze(())
        yield Train("all", epochs=budget.epochs - 3)


@torch.no_grad()
def jitter(network, batch):
    """Move every weight at random; how far, which follows from the run's seed."""
    scale = float(torch.rand(())) / len(batch[1]) ** 0.5
    for weight in network.parameters():
        weight.add_(torch.randn_like(weight), alpha=0.01 * scale)
    return scale
