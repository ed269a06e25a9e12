"""Text, a byte a token; the vocabulary is the bytes that occur. A tenth, in spans, is the test."""

from __future__ import annotations

import numpy as np
import torch

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice
from harness.workloads.files import missing, text_files
from harness.workloads.python_docs import python_documentation
from harness.workloads.tokens import Tokens

TEST_SHARE = 0.1


def python_docs(_choice: WorkloadChoice) -> Tokens:
    """The documentation that the running Python brings along (`pydoc_data.topics`)."""
    return bytes_of(python_documentation())


def text(choice: WorkloadChoice) -> Tokens:
    """The file `workload.root`, or all .txt files below that folder, in the order of their names.

    Raises:
        RunError: There are none, or one cannot be read.
    """
    problem = missing(choice)
    if problem is not None:
        raise RunError(problem)
    try:
        return bytes_of(b"".join(path.read_bytes() for path in text_files(choice)))
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}") from None


def bytes_of(data: bytes) -> Tokens:
    """A text as tokens: the rank of each byte among those that occur.

    Raises:
        RunError: It has not even two different ones.
    """
    known, ids = np.unique(np.frombuffer(data, dtype=np.uint8), return_inverse=True)
    if len(known) < 2:
        raise RunError("the text has fewer than two different bytes, so there is nothing to learn")
    tokens = torch.from_numpy(ids.astype(np.uint8))
    return Tokens.held_out(tokens, len(known), TEST_SHARE, tuple(known.tolist()))
