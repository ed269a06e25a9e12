"""What two processes hold after a search, a prune, a rewind and masks; called by test_world.

    python two_ranks.py PROCESSES FOLDER

Writes FOLDER/RANK.pt: the channel mask that this process would draw itself, and its weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from harness.method.phases import Do, Freeze, Inspect, Mask, Resize, Rewind, Shrink, Snapshot, Train
from harness.pruning.questions import bn_channel_mask
from harness.pruning.weights import magnitude
from harness.results.journal_writer import SilentJournal
from harness.runner.phase_executor import PhaseContext, execute
from harness.settings.settings import Training, WorkloadChoice
from harness.training.distributed.launch import launch
from harness.training.distributed.node import ONLY
from harness.training.distributed.world import ALONE, Ranks
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload

# With one step an epoch rounding has no time to grow: what differs more was computed wrongly.
RECIPE = Training(
    epochs=4,
    batch_size=1301,
    accumulate=2,
    learning_rate=0.02,
    ema=0.5,
    crop_padding=1,
    flip=True,
)
CHOICE = WorkloadChoice(data="digits", model="resnet20")
SEED = 0


@torch.no_grad()
def jitter(network, batch):
    """Move weights at random, in the first process alone."""
    for weight in network.parameters():
        weight.add_(torch.rand(weight.shape), alpha=0.01)
    return len(batch[1])


def work(folder: str, processes: int) -> None:
    device = torch.device("cpu")
    world = ALONE if processes == 1 else Ranks(device)
    workload = open_workload(CHOICE, RECIPE, device, world.part)
    state = TrainingState(workload, RECIPE, SEED, lambda name: Path(folder) / name, world)
    journal = SilentJournal(lambda: None, world.barrier)
    context = PhaseContext(workload, RECIPE, SEED, state, journal, recall=lambda _: None)

    def do(phase):
        return execute(phase, context, 0, lambda _: None)

    do(Snapshot("start"))
    losses = do(Train("search", epochs=1, l1_gamma=1e-4, evaluate=True))
    drawn = bn_channel_mask(0.5)(state.network, workload.train.sample(1, 0))
    mask = do(Inspect(bn_channel_mask(0.5)))
    searched = {name: value.clone() for name, value in state.network.state_dict().items()}
    do(Shrink(mask))
    do(Train("retrain", epochs=1))
    do(Rewind("start"))
    do(Mask(magnitude, 0.5))
    do(Train("masked", epochs=1))
    do(Do("jitter", jitter))
    do(Freeze("all but last"))
    do(Resize(6))
    do(Train("head", epochs=1))
    held = {
        "drawn": dict(drawn.layers),
        "decided": dict(mask.layers),
        "val_score": losses.val_accuracy,
        "searched": searched,
        "weights": state.network.state_dict(),
        "masks": state.masks,
        "average": state.average,
    }
    torch.save(held, Path(folder) / f"{world.part.rank}.pt")
    world.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    number = int(sys.argv[1])
    if number == 1:
        work(sys.argv[2], 1)
    else:
        launch(ONLY, number, work, sys.argv[2], number)
