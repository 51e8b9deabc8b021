"""`srq run` killed again and again at random times, compared with an undisturbed run; the cost of checkpoints."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from srq_2dquant.dqc import Options, srq_calibrate

from benchmarks import network
from benchmarks.compare import Row, comparable
from sr_ptq_bench import Batches, basicsr_compat
from sr_ptq_bench.cache.resume import PeriodicCheckpoint
from sr_ptq_bench.cli import main
from sr_ptq_bench.data.images.pixels import read_image, write_image
from sr_ptq_bench.data.photos import photo_path
from sr_ptq_bench.progress import no_progress
from sr_ptq_bench.records.files import read_result
from sr_ptq_bench.runs import measure, session

LOADED = basicsr_compat, measure, session  # a fork of this process has them
METHODS = {
    "percentile+dqc": ["-o", "dqc.iterations=40", "-o", "dqc.batch=1", "-o", "dqc.patch=16"],
    "minmax+pac": ["-o", "pac.iterations=20", "-o", "pac.batch=1", "-o", "pac.patch=16"],
}
KILLS = 30  # of each method
SHARE = 0.7  # the latest kill, as a share of the time of an undisturbed run
STEPS = 30
SUITE = """name = "kills"
model = "swinir-light"
weights = { "2" = "WEIGHTS" }
calibration = { source = { photos = ["astronaut"] }, patches = 2, size = 16 }
test = { crops = { hr = "crops" } }
"""


def rows() -> list[Row]:
    """Whether killed runs end with the result of an undisturbed run, and the share of time that checkpoints take."""
    with TemporaryDirectory() as name:
        suite = _suite(Path(name))
        return [*(_killed(suite, method) for method in METHODS), _overhead(Path(name))]


def _suite(folder: Path) -> Path:
    """Two crops of a photo to score, so that a run takes seconds."""
    spec = find_spec("sr_ptq_bench")
    assert spec is not None and spec.origin is not None
    photo = read_image(photo_path("astronaut"))
    for index in range(2):
        write_image(folder / "crops" / f"{index}.png", photo[64 * index :][:64, 128:192])
    path = folder / "suite.toml"
    path.write_text(SUITE.replace("WEIGHTS", str(Path(spec.origin).parent / "weights/swinir_light_x2.safetensors")))
    return path


class Runs:
    """One run in fresh folders; each call is a new process that has imported everything already."""

    def __init__(self, suite: Path, method: str) -> None:
        fixed = ["run", "--suite", str(suite), "--method", method, "--bits", "2", "--scale", "2", *METHODS[method]]
        self.arguments = ["srq", *fixed, "--device", "cpu"]
        self.folder = suite.parent

    def make(self, name: str, limit: float | None = None) -> str | None:
        """None if the run ended well, else the stage in which it was killed after `limit` seconds."""
        home, told = self.folder / name, self.folder / "told"
        told.write_text("")
        child = os.fork()
        if not child:
            os.environ["SRQ_HOME"] = str(home)
            with told.open("w") as err:
                os.dup2(err.fileno(), sys.stderr.fileno())
            sys.argv = [*self.arguments, "--out", str(home / "out")]
            os._exit(_status_of(main))
        end = time.perf_counter() + (limit or math.inf)
        while not (found := os.waitpid(child, os.WNOHANG))[0]:
            time.sleep(0.005)
            if time.perf_counter() > end:
                os.kill(child, signal.SIGKILL)
                end = math.inf
        lines = told.read_text().splitlines()
        if os.WIFSIGNALED(found[1]):
            return (lines or ["before the first stage"])[-1]
        if found[1]:
            raise RuntimeError(f"status {found[1]}: {lines}")
        return None

    def result(self, name: str) -> tuple[dict[str, Any], bytes]:
        """The record without its times, and the state of its student."""
        (path,) = (self.folder / name / "out").rglob("*.json")
        result = read_result(path)
        return comparable(result.record), result.state


def _status_of(command: Callable[[], None]) -> int:
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        try:
            command()
        except SystemExit as end:
            return 1 if end.code else 0
        except BaseException:
            traceback.print_exc()
            return 1
    return 0


def _killed(suite: Path, method: str) -> Row:
    runs, draw = Runs(suite, method), random.Random(method)
    start = time.perf_counter()
    runs.make(f"{method} alone")
    alone = time.perf_counter() - start
    record, state = runs.result(f"{method} alone")
    stages: Counter[str] = Counter()
    same, made, start = Counter[str](), 0, time.perf_counter()
    while stages.total() < KILLS:
        name = f"{method} {made}"
        while stage := runs.make(name, draw.uniform(0, SHARE * alone)):
            stages[stage] += 1
        found, its_state = runs.result(name)
        same["records"] += found == record
        same["states"] += its_state == state
        made += 1
    each = (time.perf_counter() - start) / made
    equal = f"records equal: {same['records']} of {made}; states equal to the bit: {same['states']} of {made}"
    where = ", ".join(f"{stage} {count}" for stage, count in stages.most_common())
    work = f"{method}, {made} runs killed {stages.total()} times"
    ratio = f"{each / alone:.1f}x"
    return Row(
        work,
        "left alone / with all its calls",
        f"{alone:.0f} s",
        f"{each:.0f} s",
        ratio,
        "",
        f"{equal}; killed in: {where}",
    )


def _overhead(folder: Path) -> Row:
    """Seconds in `save` and of the whole calibration; a step of this size is shorter than a real step of DQC."""
    model = network.teacher()
    student = network.student(model)
    photo = read_image(photo_path("astronaut"))
    batches, spent = Batches(photo[None, :32, :32], [photo]), [0.0]

    class Timed(PeriodicCheckpoint):
        def save(self, make: Any) -> None:
            begin = time.perf_counter()
            super().save(make)
            spent[0] += time.perf_counter() - begin

    options = Options.parse({"iterations": STEPS, "batch": 2, "patch": 32})
    calibrate = partial(srq_calibrate, student=student, teacher=model, batches=batches, options=options)
    begin = time.perf_counter()
    calibrate(progress=no_progress, checkpoint=Timed(folder / "checkpoint", print))
    whole = time.perf_counter() - begin
    work = f"{STEPS} DQC steps, batch 2, patch 32"
    share = f"{spent[0] / whole:.2%}"
    return Row(work, "the calibration / its checkpoints", f"{whole:.1f} s", f"{spent[0]:.3f} s", share, "< 1 %")
