"""CPU time of `report` on a study, now and at an earlier commit.

Both take the same results, which must be of the earlier commit or older, so that it can read them:
by default they are its own `benchmarks/quick-cpu`. They alternate, each in a fresh process with one
thread, the first round not counted; what counts on a machine that others use, too, is the ratio of
the least CPU times.

Run: python benchmarks/report_speed.py COMMIT [DIR]
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 4
HERE = Path(__file__).resolve().parents[1]


def cpu_s(code: Path, results: Path) -> float:
    """CPU seconds of one report, by the code in a folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "harness", "report", str(results)]
    # Elsewhere than here, whose packages would come first.
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=results, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Time both and print their CPU times."""
    commit = sys.argv[1]
    with tempfile.TemporaryDirectory() as out:
        then = Path(out) / "then"
        git = shutil.which("git") or "git"
        subprocess.run([git, "clone", "-q", "--shared", HERE, then], check=True)
        subprocess.run([git, "-C", then, "checkout", "-q", commit], check=True)
        source = Path(sys.argv[2]) if len(sys.argv) > 2 else then / "benchmarks" / "quick-cpu"
        results = {code: Path(out) / name for name, code in (("a", then), ("b", HERE))}
        for copy in results.values():
            shutil.copytree(source, copy)
        spent: dict[Path, list[float]] = {then: [], HERE: []}
        for turn in range(ROUNDS + 1):
            for code, copy in results.items():
                seconds = cpu_s(code, copy)
                if turn:
                    spent[code].append(seconds)
    before, now = (min(each) for each in spent.values())
    print(f"{before:.2f} s at {commit}, {now:.2f} s now: {now / before:.0%}")  # noqa: T201


if __name__ == "__main__":
    main()
