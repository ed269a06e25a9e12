"""Several processes for one run, by torchrun's own agent.

The agent forks them, watches them, and ends all when one has died; then it ends as that one did, so
that whoever started it sees the run's end and no launcher's.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable
from typing import Any, NoReturn

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def launch(processes: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call `work` in so many processes of this machine; return when all have.

    They are forked, so that what this process has imported and opened is theirs, too; it must not
    have touched a GPU. `RANK`, `WORLD_SIZE` and the like are in their environment.

    Args:
        processes: How many.
        work: What each does.
        arguments: What it is called with.
    """
    with tempfile.TemporaryDirectory(prefix="energy-harness-") as scratch:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,  # the engine begins runs anew, with their records in order
            start_method="fork",
            logs_specs=DefaultLogsSpecs(log_dir=scratch),
        )
        try:
            elastic_launch(config, work)(*arguments)
        except SignalException:
            return  # stopped from outside; the processes have ended in order
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            code = failure.exitcode
        else:
            return
    _end_as(code)


def _end_as(exit_code: int) -> NoReturn:
    """End this process as another one did."""
    sys.stdout.flush()
    sys.stderr.flush()
    if exit_code < 0:
        number = signal.Signals(-exit_code)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(abs(exit_code))
