"""A whole grid: its time compared with its evaluations alone, two workers with one, and one teacher for all cells."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import network
from benchmarks.compare import Row, alternate, comparable
from benchmarks.dqc import step
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.records.files import read_records
from sr_ptq_bench.records.record import Record

GRID = "minmax,percentile,dbdc,dobi"
BITS = "4,3,2"


def rows() -> list[Row]:
    """Suite sample, every sweep with an empty cache and one thread per worker.

    A grid's fixed work is the same at every scale. Its evaluations are shorter at a larger scale, so x4 is the harder
    case.
    """
    two_seconds, two = _sweep(scale=4, workers=2)
    one_seconds, one = _sweep(scale=4, workers=1)
    parallel = sum(record.timings["total"] for record in two)
    equal = [comparable(record) for record in one] == [comparable(record) for record in two]
    return [
        _overhead(2, *_sweep(scale=2, workers=1)),
        _overhead(4, one_seconds, one),
        Row(
            f"{_work(4, one)}, one thread per worker",
            "one worker / two workers",
            f"{one_seconds:.0f} s",
            f"{two_seconds:.0f} s",
            f"{one_seconds / two_seconds:.2f}x faster",
            "",
            f"the cells took {parallel:.0f} s together; {'equal' if equal else 'DIFFERENT'} records",
        ),
        _one_teacher(),
    ]


def _one_teacher() -> Row:
    """A step on patches that another cell has trained on before."""
    model = network.teacher()
    lr = network.patches(2, 32)
    with tempfile.TemporaryDirectory() as folder:
        shared = Cache(Path(folder), print).teacher({}, model, fresh=False)
        alone, after = alternate(step(network.student(model), model, lr), step(network.student(model), shared, lr), 9)
    return Row(
        "one DQC step, batch 2, patch 32",
        "in the first cell of a grid / in the others",
        f"{alone:.3f} s",
        f"{after:.3f} s",
        f"{alone / after:.2f}x faster",
        "",
        "the others read what the FP network makes of the patches",
    )


def _overhead(scale: int, seconds: float, records: list[Record]) -> Row:
    evaluations, cells, observe, fp = (
        sum(record.timings[stage] for record in records) for stage in ("evaluate", "total", "observe", "score fp")
    )
    return Row(
        _work(scale, records),
        "sum of the evaluations / srq sweep, one worker",
        f"{evaluations:.0f} s",
        f"{seconds:.0f} s",
        f"{seconds / evaluations:.2f}x their time",
        "<= 1.3x",
        f"the cells {cells:.0f} s, of it the pass {observe:.0f} s and the FP scores {fp:.0f} s",
    )


def _work(scale: int, records: list[Record]) -> str:
    return f"{len(records)} cells ({GRID}; {BITS} bits), suite sample x{scale}"


def _sweep(scale: int, workers: int) -> tuple[float, list[Record]]:
    """Seconds of the command from its start to its end, and its records."""
    code = "from sr_ptq_bench.cli import main; main()"
    words = ["--methods", GRID, "--bits", BITS, "--scales", str(scale), "--workers", str(workers), "--threads", "1"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"SRQ_HOME": f"{folder}/home"}
        start = time.perf_counter()
        command = [sys.executable, "-c", code, "sweep", *words, "--out", folder, "--device", "cpu"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start, read_records(Path(folder) / "results/sample")
