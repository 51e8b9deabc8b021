"""A whole grid: its time against that of its evaluations alone, and two workers against one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compare import Row
from sr_ptq_bench.records import comparable, read_records
from sr_ptq_bench.schema import Record

GRID = "minmax,percentile,dbdc,dobi"
BITS = "4,3,2"


def rows() -> list[Row]:
    """Suite sample at x4, every sweep with an empty cache and one thread per worker."""
    one, records = _sweep(workers=1)
    two, again = _sweep(workers=2)
    evaluations = sum(record.timings["evaluate"] for record in records)
    total = sum(record.timings["total"] for record in records)
    parallel = sum(record.timings["total"] for record in again)
    equal = [comparable(record) for record in records] == [comparable(record) for record in again]
    work = f"{len(records)} cells ({GRID}; {BITS} bits), suite sample x4"
    return [
        Row(
            work,
            "sum of the evaluations / srq sweep, one worker",
            f"{evaluations:.0f} s",
            f"{one:.0f} s",
            f"{one / evaluations:.2f}x their time",
            "<= 1.3x",
        ),
        Row(
            "the same, what no cell does: start, checks, records",
            "sum of the cells / srq sweep, one worker",
            f"{total:.0f} s",
            f"{one:.0f} s",
            f"{one / total:.2f}x their time",
            "",
        ),
        Row(
            "the same, one thread per worker",
            "one worker / two workers",
            f"{one:.0f} s",
            f"{two:.0f} s",
            f"{one / two:.2f}x faster",
            "",
            f"the cells took {parallel:.0f} s together; {'equal' if equal else 'DIFFERENT'} records",
        ),
    ]


def _sweep(workers: int) -> tuple[float, list[Record]]:
    """Seconds of the command from its start to its end, and its records."""
    code = "from sr_ptq_bench.cli import main; main()"
    words = ["--methods", GRID, "--bits", BITS, "--scales", "4", "--workers", str(workers), "--threads", "1"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"SRQ_HOME": f"{folder}/home"}
        start = time.perf_counter()
        command = [sys.executable, "-c", code, "sweep", *words, "--out", folder, "--device", "cpu"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start, read_records(Path(folder) / "results/sample")
