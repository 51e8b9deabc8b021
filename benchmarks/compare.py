"""Times two ways of doing one work in turn, and measures the peak memory of each in its own process."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sr_ptq_bench.records.record import Record


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


def peak_memory(prepare: Callable[[], Callable[[], object]], repeats: int = 1) -> float:
    """Bytes that the work which `prepare` returns adds at its peak: the median of fresh processes.

    An allocator leaves gaps between blocks; for a small work they differ from process to process by half of its memory.
    """
    return statistics.median(memory_and_time(prepare)[0] for _ in range(repeats))


def memory_and_time(prepare: Callable[[], Callable[[], object]]) -> tuple[int, float]:
    """Bytes that the work which `prepare` returns adds at its peak, and its seconds, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    process = context.Process(target=_peak, args=(prepare, queue))
    process.start()
    measured: tuple[int, float] = queue.get()
    process.join()
    return measured


def _peak(prepare: Callable[[], Callable[[], object]], queue: Any) -> None:
    work = prepare()
    before = _anonymous()
    peak, done = before, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    took = seconds(work)
    done.set()
    watcher.join()
    queue.put((max(peak, _anonymous()) - before, took))


def _anonymous() -> int:
    """Bytes of memory of this process without mapped files, which the system may drop and read again."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def comparable(record: Record) -> dict[str, Any]:
    """What must be equal when the same run is repeated: all but times, memory and the machine."""
    content = record.model_dump(mode="json", exclude={"timings", "created", "peak_memory_bytes"})
    content["environment"] = content["environment"]["versions"]
    return content


def total_memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def mib(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:.0f} MiB"
