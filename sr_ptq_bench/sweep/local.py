"""Worker processes on this machine. A worker that vanishes is replaced, and its cell is started again a few times."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from .engine import ATTEMPTS, Failed, Finished, Running, Said, one_line

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from ..progress import Progress
    from .engine import Event
    from .worker import Task, WorkerConfig

_SPAWN = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
_BETWEEN_REPORTS = 0.5
_LAST_WORDS = 5.0


@dataclass
class _Process:
    """A worker process, our end of its own pipe, and the index of the task that it has."""

    process: BaseProcess
    connection: Connection
    index: int | None = None

    @classmethod
    def start(cls, config: WorkerConfig) -> _Process:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs, config), daemon=True)
        with _interrupts_held_back():
            process.start()
        theirs.close()  # so that a vanished worker ends the pipe
        return cls(process, ours)

    def give(self, tasks: Sequence[Task]) -> None:
        with suppress(OSError):  # a worker that has vanished is noticed when its pipe is read
            assert self.index is not None
            self.connection.send((self.index, tasks[self.index]))

    def receive(self) -> Event | None:
        """What the worker says; None if it has vanished."""
        with suppress(EOFError, OSError):
            event: Event = self.connection.recv()
            return event
        self.process.join(_LAST_WORDS)  # it ends by itself; its exit code tells why
        self.end()
        return None

    def obituary(self) -> str:
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"its worker vanished {ATTEMPTS} times, last with {how}; is memory short?"

    def end(self) -> None:
        self.process.kill()  # files appear whole or not at all, so nothing must be waited for
        self.process.join()
        self.connection.close()


class LocalEngine:
    """`workers` processes, each with its own pipe, so that a worker that dies cannot block another.

    As a context manager it starts them at once, so that they load libraries and plugins while the cells are checked.
    """

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        self.config, self.workers = config, workers
        self._pool: list[_Process] = []

    def __enter__(self) -> LocalEngine:
        self._pool += [_Process.start(self.config) for _ in range(self.workers)]
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        while self._pool:
            self._pool.pop().end()

    def run(self, tasks: Sequence[Task]) -> Generator[Event, None, None]:
        """Measure the tasks in their order; see `Engine`."""
        waiting = deque(range(len(tasks)))
        lost: Counter[int] = Counter()
        pool = self._pool
        try:
            while waiting or any(worker.index is not None for worker in pool):
                while waiting and len(pool) < self.workers:
                    pool.append(_Process.start(self.config))
                for worker in [worker for worker in pool if worker.index is None]:
                    if waiting:
                        worker.index = waiting.popleft()
                        yield Running(worker.index, "start")
                        worker.give(tasks)
                    else:
                        pool.remove(worker)
                        worker.end()
                ready = wait([worker.connection for worker in pool])
                for worker in [worker for worker in pool if worker.connection in ready]:
                    event = worker.receive()
                    assert worker.index is not None
                    if event is None:
                        pool.remove(worker)
                        lost[worker.index] += 1
                        if lost[worker.index] < ATTEMPTS:
                            waiting.appendleft(worker.index)
                        else:
                            yield Failed(worker.index, worker.obituary())
                        continue
                    if isinstance(event, Finished | Failed):
                        worker.index = None
                        if tasks[event.index].foreign:
                            pool.remove(worker)
                            worker.end()
                    yield event
        finally:
            self._end()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back, which reaches the whole group; a process that starts here inherits that, but on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, config: WorkerConfig) -> None:
    """The life of a worker: tasks from the pipe, events into it, until it is killed or the sweep is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a library may let it through again; the sweep ends its workers
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()

    from .worker import Worker

    reporter = _PipeReporter(connection)
    worker: Worker | None = None
    with suppress(Exception):  # the first cell tells what is wrong
        worker = Worker(config, reporter)
    while True:
        reporter.index, task = connection.recv()
        try:
            worker = worker or Worker(config, reporter)
            result = worker.measure(task)
        except Exception as error:  # an exception of a plugin fails only this cell
            connection.send(Failed(reporter.index, one_line(error)))
        else:
            connection.send(Finished(reporter.index, result))


def _end_with_the_sweep() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _PipeReporter:
    """Tells the sweep the stage of the present task, a few times a second at most."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.index, self.last = connection, 0, 0.0

    def say(self, line: str) -> None:
        """Send a line."""
        self.connection.send(Said(self.index, line))

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Send the stage, and its progress now and then."""
        self.connection.send(Running(self.index, name))

        def report(done: int, total: int, note: str = "") -> None:
            now = time.monotonic()
            if now - self.last >= _BETWEEN_REPORTS:
                self.last = now
                self.connection.send(Running(self.index, name, done, total))

        yield report
