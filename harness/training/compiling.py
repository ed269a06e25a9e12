"""torch.compile, which must never give up without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import nn
from torch._dynamo import config
from torch._dynamo.exc import FailOnRecompileLimitHit

from harness.errors import RunError
from harness.settings.types import CompileMode

backend: str | Callable[..., Any] = "inductor"


def compiled(module: nn.Module, mode: CompileMode) -> nn.Module:
    """A module that compiles itself with its first batch of each size.

    Dynamo gives up on code that it has compiled too often and runs it uncompiled, with no more than
    a warning; here that is an error, see `never_silent`.
    """
    config.fail_on_recompile_limit_hit = True
    return cast(nn.Module, torch.compile(module, backend=backend, mode=mode, dynamic=False))


def first_steps(mode: Literal[False] | CompileMode) -> int:
    """How many steps with a size of batch are unlike those that follow.

    Where torch records CUDA graphs, it runs the first call uncaptured, records the second, and
    replays from the third on (`torch._inductor.cudagraph_trees`).
    """
    return 3 if mode in ("reduce-overhead", "max-autotune") else 1


def forget_compiled() -> None:
    """Drop all compiled code; that of an earlier structure would count towards Dynamo's limit."""
    torch.compiler.reset()


@contextmanager
def never_silent() -> Iterator[None]:
    """Turn Dynamo's limit of recompilations into an error of the run.

    Raises:
        RunError: It was hit.
    """
    try:
        yield
    except FailOnRecompileLimitHit as error:
        limit = config.recompile_limit
        raise RunError(
            f"torch.compile gave up: it compiled a part of the network more than {limit} times; "
            "set training.compile = false, or look into it with TORCH_LOGS=recompiles"
        ) from error
