"""CIFAR-10 for a machine without a network, from what the variable DATA names.

    DATA=FOLDER python benchmarks/cifar_for_gpu.py --to SCRATCH

It prints the words to add to `python -m harness run`, one a line, and last a sentence that says
which images they are, for the record.
"""

from __future__ import annotations

import argparse
import os
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.random_cifar import write_cifar10

PUBLISHED = "cifar-10-batches-py"


def settings(data: Path | None, scratch: Path, images_a_file: int) -> tuple[dict[str, str], str]:
    """Settings of the workload, and what the images are.

    Args:
        data: A folder with the published files, with pictures by class, or with a tar of such
            pictures; None for random images.
        scratch: Where to unpack or write.
        images_a_file: How many random images each of CIFAR's six files has; below 10,000, from
            which on the harness wants the published files.

    Raises:
        FileNotFoundError: There is nothing of the kind in `data`.
    """
    if data is None:
        write_cifar10(scratch, images_a_file)
        description = f"{5 * images_a_file:,} random images of CIFAR's size: accuracies are chance"
        return {"data": "cifar10", "root": str(scratch)}, description
    if (data / PUBLISHED).is_dir():
        return {"data": "cifar10", "root": str(data)}, f"CIFAR-10 as published, in {data}"
    folder = data
    if not (data / "train").is_dir():
        archives = sorted(data.glob("*.tar*"))
        if not archives:
            raise FileNotFoundError(f"{data}: neither {PUBLISHED}, nor train and test, nor a tar")
        folder = scratch
        with tarfile.open(archives[0]) as archive:
            # Python 3.11 has the filter from 3.11.4 on; Debian 12 has 3.11.2.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(scratch, **safely)  # type: ignore[arg-type]  # noqa: S202
    description = f"CIFAR-10, JPEG copy: pictures by class, from {data}; not the published pixels"
    return {"data": "folder", "root": str(folder)}, description


def main() -> None:
    """Prepare, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--to", type=Path, required=True, help="scratch folder")
    parser.add_argument("--images-a-file", type=int, default=9_999)
    options = parser.parse_args()
    data = os.environ.get("DATA")
    found, description = settings(Path(data) if data else None, options.to, options.images_a_file)
    for key, value in found.items():
        sys.stdout.write(f"--set\nworkload.{key}={value}\n")
    sys.stdout.write(f"{description}\n")


if __name__ == "__main__":
    main()
