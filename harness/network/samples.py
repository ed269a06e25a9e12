"""Samples to compare an exported network with the trained one on: of the test set, or drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import RunError, UsageError
from harness.network.load import example_for
from harness.network.record import NetworkRecord
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.task import Task
from harness.workloads.workload import open_workload

SEEDED = 256
"""Drawn samples; they cost no reading."""


@dataclass(frozen=True)
class Samples:
    """Inputs, and what their outputs are compared with.

    Attributes:
        inputs: As the network takes them.
        targets: None where the inputs were drawn.
        task: How outputs become a score; None where there are no targets.
        of: How many the test set has; 0 where the inputs were drawn.
        why: Why they are not of the test set.
    """

    inputs: Tensor
    targets: Tensor | None = None
    task: Task | None = None
    of: int = 0
    why: str = ""

    @property
    def source(self) -> str:
        """What they are, for people."""
        count = len(self.inputs)
        if self.why:
            return f"{count} seeded inputs ({self.why})"
        return f"all {count} samples" if count == self.of else f"{count} of {self.of} samples"

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Inputs and targets in order: the first alone, then at most `size` at a time."""
        for start in (0, *range(1, len(self.inputs), size)):
            part = slice(start, start + (size if start else 1))
            yield self.inputs[part], None if self.targets is None else self.targets[part]


def test_samples(choice: WorkloadChoice, training: Training, most: int) -> Samples:
    """The first samples of a workload's test set, on the CPU.

    Args:
        choice: The data set.
        training: The recipe, which may say how images are resized.
        most: How many at most.

    Raises:
        UsageError: The data are not here any more.
        RunError: They are damaged.
    """
    workload = open_workload(choice, training, torch.device("cpu"))
    inputs, targets, have = [], [], 0
    for each_inputs, each_targets in workload.test.in_order():
        inputs.append(each_inputs[: most - have])
        targets.append(each_targets[: most - have])
        have += len(inputs[-1])
        if have >= most:
            break
    return Samples(torch.cat(inputs), torch.cat(targets), workload.task, of=len(workload.test))


def seeded_samples(record: NetworkRecord, why: str, count: int = SEEDED) -> Samples:
    """Inputs of the right shape, drawn with a fixed seed: normal, or equally likely tokens.

    Args:
        record: Of the network.
        why: Why not the test set.
        count: How many.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (count, *record.encoding.shape)
    if example_for(record).is_floating_point():
        return Samples(torch.randn(shape, generator=generator), why=why)
    return Samples(torch.randint(record.outputs, shape, generator=generator), why=why)


def samples_for(
    record: NetworkRecord,
    workload: tuple[WorkloadChoice, Training] | None,
    most: int,
) -> Samples:
    """Samples of the test set; where it is not here, drawn ones.

    Args:
        record: Of the network.
        workload: What it was trained on, as far as the run's folder has it.
        most: How many at most.
    """
    if workload is None:
        return seeded_samples(record, "the folder does not name its data")
    try:
        return test_samples(*workload, most)
    except (UsageError, RunError) as error:
        return seeded_samples(record, str(error))
    except Exception as error:  # noqa: BLE001 - a data set of another package, whose files are gone
        return seeded_samples(record, f"the data do not load: {error}")
