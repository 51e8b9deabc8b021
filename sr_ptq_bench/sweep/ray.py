"""Cells as tasks of a Ray cluster. Ray is the optional extra `ray`."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import SrqError
from ..progress import SILENT
from .engine import ATTEMPTS, Failed, Finished, one_line
from .worker import Task, Worker, WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import ModuleType

    from ..records.files import RunResult
    from .engine import Event


class RayEngine:
    """A task per cell on the cluster at `address`, with CPU cores and GPUs for each.

    Raises SrqError if Ray is not installed or no cluster answers. The records come back here.
    """

    def __init__(self, config: WorkerConfig, address: str, gpus: float) -> None:
        self.config, self.gpus = config, gpus
        self.ray = _connected(address)
        has = self.ray.cluster_resources()
        room = [has.get("CPU", 0.0) / config.threads, *([has.get("GPU", 0.0) / gpus] if gpus else [])]
        self.workers = max(1, int(min(room)))

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def run(self, tasks: Sequence[Task]) -> Generator[Event, None, None]:
        """Measure the tasks; see `Engine`. Ray begins a task again if its process or node vanishes."""
        share = {"num_cpus": self.config.threads, "num_gpus": self.gpus, "max_retries": ATTEMPTS - 1}
        shared = self.ray.remote(**share)(_measured)
        alone = self.ray.remote(**share, max_calls=1)(_measured)
        pending = {
            (alone if task.foreign else shared).remote(self.config, task): index for index, task in enumerate(tasks)
        }
        try:
            while pending:
                (done,), _ = self.ray.wait(list(pending), num_returns=1)
                index = pending.pop(done)
                try:
                    result = self.ray.get(done)
                except Exception as error:  # the worker or its node vanished too often
                    yield Failed(index, one_line(error))
                else:
                    yield Failed(index, result) if isinstance(result, str) else Finished(index, result)
        finally:
            for reference in pending:
                self.ray.cancel(reference, force=True)


def _connected(address: str) -> ModuleType:
    # What Ray tells of lost nodes and of tasks that it begins again would stand in the middle of the results. Ray reads
    # this when it is imported; `log_to_driver` and `logging_level` do not reach these messages.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    try:
        import ray
    except ImportError as error:
        what = "--ray needs Ray, which is not installed"
        raise SrqError(f"{what}: pip install 'sr_ptq_bench[ray]', or leave --ray out") from error
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:
        what = f"no Ray cluster answers at '{address}'"
        raise SrqError(f"{what}: {one_line(error)}; start one with `ray start --head`, or leave --ray out") from error
    ray_module: Any = ray
    return ray_module  # type: ignore[no-any-return]


def _measured(config: WorkerConfig, task: Task) -> RunResult | str:
    """The record of a cell, or a line that says why there is none, because some exceptions cannot be sent."""
    try:
        return _worker(config).measure(task)
    except Exception as error:
        return one_line(error)


@lru_cache(maxsize=1)
def _worker(config: WorkerConfig) -> Worker:
    """Ray runs several tasks in one process, so they share what is read."""
    return Worker(config, SILENT)
