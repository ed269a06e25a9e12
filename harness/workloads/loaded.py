"""A data set as loaded, before it is split: what it may be, and its checks before any run."""

from __future__ import annotations

from typing import Any, get_args

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice
from harness.workloads.images import ImageFiles, Images
from harness.workloads.samples import Samples
from harness.workloads.tokens import Tokens

Loaded = Images | ImageFiles | Tokens | Samples
"""What a data set may be."""


def checked(loaded: Any, choice: WorkloadChoice) -> Loaded:
    """The same data set.

    Raises:
        RunError: It is not as its class says; the message names the place.
    """
    if not isinstance(loaded, Loaded):
        names = [f"harness.{kind.__name__}" for kind in get_args(Loaded)]
        problem = f"gave {type(loaded).__name__}, not {', '.join(names[:-1])} or {names[-1]}"
    else:
        problem = loaded.problem()
    if problem:
        raise RunError(f"workload.data '{choice.data}': {problem}")
    found: Loaded = loaded
    return found
