"""What is known of a trained network: everything that is needed to use it, as readable JSON.

A finished run's folder holds three files:

    network.json         this record
    network.safetensors  weights and buffers, gates folded in
    masks.safetensors    which weights a mask holds at zero, if any
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from harness.settings.types import MAX_COUNT
from harness.utils.atomic_write import write_atomically
from harness.workloads.encoding import Encoding, Side

RECORD = "network.json"
WEIGHTS = "network.safetensors"
MASKS = "masks.safetensors"
FORMAT = 1
MAX_RECORD_BYTES = 16 * 2**20

Many = Annotated[int, Field(ge=1, le=MAX_COUNT)]


class NetworkRecord(BaseModel):
    """What `network.json` says.

    Attributes:
        format: Version of the format.
        model: As in the study: `workload.model`.
        inputs: What its builder was given first: channels of images, places of a text.
        outputs: And second: classes, or tokens of the vocabulary.
        converts: Whether attention of other libraries was converted, so that heads could go.
        encoding: How raw inputs become its inputs.
        task: Name of the task.
        metric: What its score is.
        test_score: Its score on the test set.
        parameters: In memory.
        macs: Multiply-accumulate operations per sample.
        density: Share of its weights that no mask holds at zero.
        run: Study, arm, method and seed.
        data: Fingerprint of the data.
        code: Fingerprint of the code.
        versions: Of the libraries that trained it.
        weights_sha256: Of the file of weights.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    model: str
    inputs: Side
    outputs: Many
    converts: bool = False
    encoding: Encoding
    task: str
    metric: dict[str, Any]
    test_score: float
    parameters: int
    macs: int
    density: float
    run: dict[str, Any] = {}
    data: dict[str, Any] = {}
    code: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    weights_sha256: str


def write_record(folder: Path, record: NetworkRecord) -> None:
    """Write `network.json`, readable."""
    text = json.dumps(record.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(folder / RECORD, text.encode())


def read_record(folder: Path) -> NetworkRecord:
    """Read `network.json` in a run's folder.

    Raises:
        UsageError: There is none, or it is damaged, or of a newer version.
    """
    path = folder / RECORD
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: there is no {RECORD}; name the folder of a finished run, such as "
            "RESULTS/runs/dense/seed-0 (runs of earlier versions have none)"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_RECORD_BYTES:
        raise UsageError(f"{path}: larger than any record of a network")
    try:
        content = json.loads(data)
        newer = isinstance(content, dict) and content.get("format", FORMAT) > FORMAT
        if not newer:
            return NetworkRecord.model_validate(content)
    except (ValueError, TypeError, RecursionError) as error:
        what = _first(error) if isinstance(error, ValidationError) else "it is not JSON"
        raise UsageError(f"{path}: damaged: {what}") from None
    raise UsageError(f"{path}: written by a newer version of the harness; update it")


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
