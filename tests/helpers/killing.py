"""Runs of the tiny suite that SIGKILL ends at chosen moments: `tests/helpers/killing.py FOLDER writes|anywhere METHOD`.

A process of its own imports everything once and makes each run in a fork of itself. It prints a line of JSON per killed
and completed run: the stage in which it was killed, and whether its record and its state are those of a run that was
left alone.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from tiny import TinySuite, comparable, plugin, plugins, session
from training import train_everything

from sr_ptq_bench.cache import resume
from sr_ptq_bench.hooks.code import host_sha256
from sr_ptq_bench.progress import Silent, no_progress
from sr_ptq_bench.records.files import read_result
from sr_ptq_bench.runs.measure import measure_or_reuse
from sr_ptq_bench.runs.prepare import prepare

OPTIONS = {
    "2dquant": {"dqc.iterations": "4", "dqc.batch": "2", "dqc.patch": "8"},
    "dbdc+pac": {"pac.iterations": "12", "pac.batch": "2", "pac.patch": "8"},
    "minmax+everything": {},
}


def everything(student, teacher, batches, checkpoint):
    """A calibrator that trains weights, biases and bounds in two phases, and draws from every random generator."""
    return train_everything(student, teacher, batches, checkpoint)


class Deadly:
    """Counts something that a run does, and ends the process at the `last` of it."""

    def __init__(self, last: int | None = None) -> None:
        self.seen, self.last = 0, last

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


class Writes(Deadly):
    """Files that are written; the process ends when the content is there and the name is not."""

    def begin(self) -> None:
        fsync = os.fsync

        def counting(descriptor: int) -> None:
            fsync(descriptor)
            self.count()

        os.fsync = counting


class Calls(Deadly):
    """Calls of functions of any kind."""

    def begin(self) -> None:
        sys.setprofile(lambda _frame, event, _argument: event.endswith("call") and self.count())


class Runs:
    """The same run again and again, each in a process of its own and with a checkpoint after every step."""

    def __init__(self, folder: Path, method: str) -> None:
        self.folder, self.method = folder, method
        self.suite = TinySuite.write(folder / "suite")
        host_sha256()  # once, so that kills at random calls do not all fall into reading code
        self.plugins = plugins(plugin("everything", calibrate=everything))
        resume.MAX_OVERHEAD = math.inf

    def make(self, home: Path, deadly: Deadly) -> str | None:
        """None where the run ended well, else the stage in which it was killed."""
        stage = self.folder / "stage"
        stage.write_text("prepare")
        child = os.fork()
        if not child:
            status = 1
            try:
                deadly.begin()
                self._run(home, stage)
                sys.setprofile(None)
                (self.folder / "seen").write_text(str(deadly.seen))
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return None
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        return stage.read_text()

    def _run(self, home: Path, stage: Path) -> None:
        torch.set_num_threads(1)
        own = session(known=self.plugins, home=home, reporter=Stages(stage), interval_s=0)
        prepared = prepare(self.suite.spec(self.method, bits="3", **OPTIONS[self.method]), own)
        measure_or_reuse(prepared, own).write(home / "results", own.reporter.say)

    def result(self, home: Path):
        """What must be equal: the record without its times, and the state to the bit."""
        (path,) = (home / "results").glob("*.json")
        result = read_result(path)
        return comparable(result.record), result.state


class Stages(Silent):
    """A reporter that writes down in which stage a run is."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def stage(self, name):
        self.file.write_text(name)
        yield no_progress
        self.file.write_text(f"after {name}")


def main(folder: Path, where: str, method: str) -> None:
    runs, kind, draw = Runs(folder, method), {"writes": Writes, "anywhere": Calls}[where], random.Random(0)
    alone = folder / "alone"
    assert runs.make(alone, kind()) is None
    seen = int((folder / "seen").read_text())
    plans = (
        [[n + 1] for n in range(seen)] if where == "writes" else [draw.choices(range(1, seen), k=3) for _ in range(12)]
    )
    for number, plan in enumerate(plans):
        home = folder / str(number)
        stages = [runs.make(home, kind(last)) for last in plan]
        assert runs.make(home, kind()) is None
        equal = runs.result(home) == runs.result(alone)
        kept = [path for path in (home / "cache" / "states").rglob("*") if path.is_file()]
        left = [path.name for path in kept if path.stem != "calibrated"]
        print(json.dumps({"killed": [stage for stage in stages if stage], "equal": equal, "left": left}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
