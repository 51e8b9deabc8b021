"""Timing two ways of one work alternately, and the peak memory of each in a process of its own."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Row:
    """One line of the results."""

    work: str
    ways: str
    first: str
    second: str
    ratio: str
    target: str
    check: str = ""


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of both, called in turn after one warm-up each."""
    first()
    second()
    times = [(seconds(first), seconds(second)) for _ in range(repeats)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def peak_memory(prepare: Callable[[], Callable[[], object]]) -> int:
    """Bytes that the work which `prepare` returns adds at its peak, in a fresh process, after one smaller warm-up."""
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    process = context.Process(target=_peak, args=(prepare, queue))
    process.start()
    peak = int(queue.get())
    process.join()
    return peak


def _peak(prepare: Callable[[], Callable[[], object]], queue: Any) -> None:
    work = prepare()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    work()
    queue.put(_status("VmHWM") - before)


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def mib(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:.0f} MiB"
