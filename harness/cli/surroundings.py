"""What `doctor` looks at beside sensors: torch and torchvision, data, other work on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil

from harness.catalogue import DATA, MODELS
from harness.cli.check_line import check_line
from harness.energy.health import BUSY
from harness.energy.recorder.neighbours import named
from harness.settings import WorkloadChoice
from harness.workloads.presence import ROOT, missing

_PROBE = """
import json, sys
found = {}
try:
    import torch
    found.update(torch=torch.__version__, cuda=torch.version.cuda)
    import torchvision
    found.update(torchvision=torchvision.__version__)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torchvision.ops.nms(box, torch.ones(1), 0.5)
    found["gpus"] = []
    try:
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception as error:
        found["no_gpu"] = f"{error}".splitlines()[0]
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(found))
"""
"""An operator of torchvision's is what fails where it was built for another torch."""
_PROBE_S = 120.0
_LOOK_S = 1.0
_BUSY_PROCESS = 0.1
"""Of a core; below it a process disturbs nothing that is measured."""


def software() -> dict[str, Any]:
    """Versions of torch and torchvision, the GPUs that torch sees, and `error` if they do not work.

    In a process of its own, so that nothing of theirs stays here.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=False,
        )
        return dict(json.loads(ended.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return {"error": f"importing torch takes longer than {_PROBE_S:.0f} s"}
    except (IndexError, ValueError):
        return {"error": f"importing torch ends Python (exit code {ended.returncode})"}


def data(root: str | None) -> dict[str, Any]:
    """By data set, why it is not there, or None; and where was looked."""
    found = {}
    for name in DATA:
        try:
            found[name] = missing(WorkloadChoice(data=name, model=next(iter(MODELS)), root=root))
        except OSError as error:
            found[name] = f"{error.filename}: {error.strerror}"
    return {"root": root or ROOT, "missing": found}


def other_work() -> dict[str, Any]:
    """How busy others keep the CPUs, a share of all, and by PID which processes do."""
    before, begun = _cpu_times(), time.monotonic()
    time.sleep(_LOOK_S)
    passed_s = time.monotonic() - begun
    shares = {
        process: (used_s - before[process]) / passed_s
        for process, used_s in _cpu_times().items()
        if process in before
    }
    busy = sorted(process for process, share in shares.items() if share > _BUSY_PROCESS)
    share = sum(shares.values()) / (psutil.cpu_count() or 1)
    return {"share": round(share, 3), "processes": named(busy)}


def _cpu_times() -> dict[int, float]:
    found = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid():
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
    return found


def software_lines(found: dict[str, Any], boards: int) -> Iterator[str]:
    """What `software` found, beside so many GPUs that the driver lists."""
    versions = f"torch {found.get('torch')}, torchvision {found.get('torchvision')}"
    if "torch" not in found:
        todo = "pip install torch torchvision; reading results needs neither"
        yield check_line(ok=False, text=f"torch: {found['error']}", todo=todo)
    elif "error" in found:
        todo = (
            "they do not fit together; install a pair, such as pip install 'torch===2.13.0' "
            "torchvision==0.28.0"
        )
        yield check_line(ok=False, text=f"{versions}: {found['error']}", todo=todo)
    elif boards and not found["gpus"]:
        built = f"built for CUDA {found['cuda']}" if found["cuda"] else "built without CUDA"
        reason = f": {found['no_gpu']}" if "no_gpu" in found else ""
        todo = (
            "update the driver, or install the torch that fits it (https://pytorch.org); a "
            "CUDA_VISIBLE_DEVICES that is empty hides GPUs, too"
        )
        yield check_line(ok=False, text=f"{versions}: sees no GPU ({built}){reason}", todo=todo)
    else:
        seen = ", ".join(found["gpus"]) or "the CPU"
        yield check_line(ok=True, text=f"{versions}: they fit together; trains on {seen}")


def data_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `data` found."""
    there = ", ".join(name for name, why in found["missing"].items() if why is None)
    absent = ", ".join(name for name, why in found["missing"].items() if why is not None)
    todo = "--root DIR looks elsewhere; workload.download = true fetches MNIST and CIFAR"
    text = f"data: {there}"
    if absent:
        text += f"; not in {found['root']}: {absent}"
    yield check_line(ok=True, text=text, todo=todo if absent else None)


def other_work_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `other_work` found."""
    quiet = found["share"] <= BUSY
    who = ", ".join(f"{name or 'process'} ({pid})" for pid, name in found["processes"].items())
    text = f"other work keeps {found['share']:.0%} of the CPUs busy" + (f": {who}" if who else "")
    yield check_line(
        ok=quiet, text=text, todo=None if quiet else "end it: what CPUs draw counts the machine"
    )
