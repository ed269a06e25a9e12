"""Reads the files in which Linux shows a machine's sensors, under /sys."""

from __future__ import annotations

import os
from pathlib import Path

ELSEWHERE = "ENERGY_HARNESS_SYSFS"
"""Environment variable: another folder than /sys, such as where a container has the host's mounted.
What is in no file system of the kernel's is called simulated."""
MOUNTS = Path("/proc/self/mountinfo")


def sysfs() -> Path:
    """The folder that is read."""
    return Path(os.environ.get(ELSEWHERE, "/sys"))


def is_real(file: Path) -> bool:
    """Whether a file that was found in `sysfs` is the kernel's own."""
    return ELSEWHERE not in os.environ or is_of_kernel(file)


def is_of_kernel(file: Path) -> bool:
    """Whether a file is the kernel's own, wherever it is mounted."""
    try:
        device = file.stat().st_dev
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    # "36 35 98:0 / /mnt rw - ext3 ...": the device is the third word, the kind follows the dash.
    kernels = {words[2] for words in mounts if words[words.index("-") + 1] == "sysfs"}
    return f"{os.major(device)}:{os.minor(device)}" in kernels


def text_in(file: Path) -> str:
    """The text of a file; "" if it is not there or cannot be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def number_in(file: Path) -> int | None:
    """The number in a file; None if there is none."""
    try:
        return int(text_in(file))
    except ValueError:
        return None
