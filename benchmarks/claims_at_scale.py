"""What judging claims takes beyond reading, on many runs that were never trained.

    python benchmarks/claims_at_scale.py [--runs 200]

Makes up a study as `report_at_scale.py` does, and judges more claims of it than any built-in study
asks for. Needs Linux and a C compiler; 200 runs take a minute, most of it to make them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report_at_scale.study import METHODS, write_study
from harness.results.table import Tables
from harness.settings.report import Claim

EACH = 7
"""Claims of each method but dense."""


def main() -> None:
    """Make up the runs, read them, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs: int = parser.parse_args().runs
    claims = [
        Claim(text=f"{arm} {number}", arm=arm, energy_at_most=1.0, points_at_least=-0.5)
        for arm in METHODS
        if arm != "dense"
        for number in range(EACH)
    ]
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        write_study(study, runs)
        began = time.perf_counter()
        tables = Tables(study)
        read = time.perf_counter()
        from reports.data import asked_claims, plain_results
        from reports.tables.claims import judge

        judged = judge(replace(plain_results(tables), claims=asked_claims(tables, claims)))
        ended = time.perf_counter()
    click.echo(
        f"{runs} runs: reading {read - began:.1f} s, then {len(judged)} claims {ended - read:.1f} s"
    )


if __name__ == "__main__":
    main()
