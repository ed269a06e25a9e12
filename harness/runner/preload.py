"""What the fork server of runs imports, once for all of them.

Methods are not among it: if one is changed while a study runs, the runs that follow use the change,
and their records say so.
"""

from __future__ import annotations

import gc

from harness.runner import worker  # noqa: F401 - so that no run has to
from harness.runner.code_fingerprint import harness_hash

# The source as it is now is what runs execute, whatever becomes of the files.
harness_hash()
# Otherwise the collector of every run would visit all that is imported, and each visit copies
# memory that the run shares with the server.
gc.collect()
gc.freeze()
