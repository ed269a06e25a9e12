"""What the fork server of runs imports, once for all of them.

Methods are not among it: who changes one while a study runs has the later runs use the change, and
their record say so.
"""

from __future__ import annotations

import gc

from harness.runner import worker  # noqa: F401 - so that no run has to
from harness.runner.code_fingerprint import harness_hash

# Of the source as it is now: what runs do is imported already, whatever becomes of the files.
harness_hash()
# The collector of a run would visit every object of all that is imported, and so have a copy made
# of the memory that runs share with the server.
gc.collect()
gc.freeze()
