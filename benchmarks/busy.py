"""A run next to another busy process: OpenMP's waiting threads must not slow both down."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.compare import Row, seconds
from sr_ptq_bench.cli import SPIN_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMAND = ("run", "--method", "2dquant", "--bits", "2", "--scale", "4", "-o", "dqc.iterations=40")
LIBGOMP_DEFAULT = "300000"  # the value of GOMP_SPINCOUNT if neither it nor OMP_WAIT_POLICY is set
NEIGHBOUR = """
import torch
torch.set_num_threads(2)
layer = torch.nn.Conv2d(60, 60, 3, padding=1)
patches = torch.rand(4, 60, 64, 64)
while True:
    layer(patches).sum().backward()
"""
START = "from sr_ptq_bench.cli import main; main()"
REPEATS = 2


def rows() -> list[Row]:
    """Seconds of one short run, alone and next to a torch process with two threads."""
    default: dict[str, str] = {}
    spinning, alone, beside = [], [], []
    for _ in range(REPEATS):
        spinning.append(_run({"GOMP_SPINCOUNT": LIBGOMP_DEFAULT}))
        alone.append(_run(default))
        with _neighbour():
            beside.append(_run(default))
    was, alone_s, beside_s = median(spinning), median(alone), median(beside)
    command = f"srq {' '.join(COMMAND)}"
    return [
        Row(
            command,
            f"GOMP_SPINCOUNT {LIBGOMP_DEFAULT} / {SPIN_COUNT}, alone",
            f"{was:.0f} s",
            f"{alone_s:.0f} s",
            f"{alone_s / was:.2f}x its time",
            "<= 1.1x",
        ),
        Row(
            "the same",
            "alone / beside a torch process with two threads",
            f"{alone_s:.0f} s",
            f"{beside_s:.0f} s",
            f"{beside_s / alone_s:.2f}x its time",
            "<= 2.5x",
        ),
    ]


def _run(settings: Mapping[str, str]) -> float:
    """Seconds of the command with an empty SRQ_HOME."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-c", START, *COMMAND, "--out", f"{folder}/out"]
        environment = {**inherited, "SRQ_HOME": folder, **settings}
        return seconds(lambda: subprocess.run(call, env=environment, capture_output=True, check=True))


@contextmanager
def _neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR], env={**os.environ})
    try:
        yield
    finally:
        process.kill()
        process.wait()
