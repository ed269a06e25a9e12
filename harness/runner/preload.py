"""What the fork server of runs imports, once for all of them.

Methods are not among it: if one is changed while a study runs, the runs that follow use the change,
and their records say so.
"""

from __future__ import annotations

import gc
import sys
from types import TracebackType

from harness.runner import worker  # noqa: F401 - so that no run has to
from harness.runner.code_fingerprint import harness_hash
from harness.utils.packages import entry_points_of

# The source as it is now is what runs execute, whatever becomes of the files.
harness_hash()
entry_points_of("")  # reads those of all groups, for all runs
# Otherwise the collector of every run would visit all that is imported, and each visit copies
# memory that the run shares with the server.
gc.collect()
gc.freeze()


def _printed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """As usual; but a process whose starter is gone before it said what to do ends in silence."""
    if not issubclass(kind, EOFError):
        sys.__excepthook__(kind, error, at)


sys.excepthook = _printed
