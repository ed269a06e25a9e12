"""Launch of several processes for one run, by torchrun's own agent.

The agent forks them, watches them, and ends all when one has died; then it ends as that one did, so
that the parent sees the run's end and not the launcher's.
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

from harness.training.distributed.node import Node

NODES_MEET_S = 900
"""A queue may start one node's task long before another's."""


def launch(node: Node, processes: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call `work` in several processes of this machine; return when all have returned.

    They are forked, so that what this process has imported and opened is theirs, too; it must not
    have touched a GPU. `RANK`, `WORLD_SIZE` and the like are in their environment.

    Args:
        node: Which of the run's nodes this is.
        processes: How many on each.
        work: What each does.
        arguments: What it is called with.
    """
    with tempfile.TemporaryDirectory(prefix="energy-harness-") as scratch:
        config = LaunchConfig(
            min_nodes=node.of,
            max_nodes=node.of,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex if node.of == 1 else "energy-harness",
            rdzv_endpoint=node.meet,
            **_meeting(node),
            max_restarts=0,  # the engine restarts runs, with complete records
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


def _meeting(node: Node) -> dict[str, Any]:
    if node.of == 1:
        return {"rdzv_backend": "c10d", "local_addr": "localhost"}
    # Nodes keep the ranks that they were given.
    configs = {"rank": node.rank, "timeout": NODES_MEET_S}
    return {"rdzv_backend": "static", "rdzv_configs": configs}


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
