"""The command line's own start: help and errors need neither torch nor pandas."""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

from benchmarks.compare import Row


def rows() -> list[Row]:
    """CPU seconds of three calls, compared with importing torch and BasicSR."""
    commands = {
        "srq --help": ["--help"],
        "srq methods --help": ["methods", "--help"],
        "a usage error": ["run", "--bit", "2"],
    }
    start = "from sr_ptq_bench.cli import main; main()"
    imports = _cpu_seconds("import sr_ptq_bench.basicsr_compat", [])
    times = {name: _cpu_seconds(start, arguments) for name, arguments in commands.items()}
    return [
        Row(name, "importing torch and BasicSR / the call", f"{imports:.2f} s", f"{spent:.2f} s", "", "<= 0.3 s")
        for name, spent in times.items()
    ]


def _cpu_seconds(code: str, arguments: list[str]) -> float:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return median(once() for _ in range(3))
